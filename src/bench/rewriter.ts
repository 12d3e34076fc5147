/** A guest that rewrites 400 MiB without end, in order. */
import type { BenchContext } from './context.js';
import { rewriterProgram } from './guest-programs.js';
import { limitVerdict, type Section } from './section.js';
import { benchSelfChecking } from './self-checking.js';

const REWRITTEN_MIB = 400;

export function benchRewriter(context: BenchContext): Promise<Section> {
  return benchSelfChecking(context, {
    name: 'rewriter',
    title: `A guest that rewrites ${REWRITTEN_MIB} MiB without end`,
    program: rewriterProgram,
    programArgs: [REWRITTEN_MIB],
    memoryMiB: REWRITTEN_MIB,
    errorUnit: 'MiB',
    promises: ({ pause, gap, ready }) => [
      limitVerdict('live pause p99 < 30 ms', pause?.p99, 30),
      limitVerdict('longest gap inside the guest < 100 ms', gap?.max, 100),
      limitVerdict('ready, slowest, < 3000 ms', ready?.max, 3000),
    ],
  });
}
