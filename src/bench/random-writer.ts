/**
 * A guest that writes single pages all over 1 GiB, a million a second where it can: the residue with the most runs there is.
 *
 * What it writes while a pass of the pre-copy goes on is spread over all of its memory, so nothing large lies together.
 */
import type { BenchContext } from './context.js';
import { randomWriterProgram } from './guest-programs.js';
import { limitVerdict, type Section } from './section.js';
import { benchSelfChecking } from './self-checking.js';

const WRITTEN_MIB = 1024;
const PAGES_PER_SECOND = 1_000_000;

export function benchRandomWriter(context: BenchContext): Promise<Section> {
  return benchSelfChecking(context, {
    name: 'random-writer',
    title: `A guest that writes single pages all over ${WRITTEN_MIB} MiB, at most ${PAGES_PER_SECOND} a second`,
    program: randomWriterProgram,
    programArgs: [WRITTEN_MIB, PAGES_PER_SECOND],
    memoryMiB: WRITTEN_MIB,
    errorUnit: 'pages',
    promises: ({ pause }) => [
      limitVerdict('live pause p50 < 30 ms', pause?.p50, 30),
      limitVerdict('live pause p99 < 60 ms', pause?.p99, 60),
    ],
  });
}
