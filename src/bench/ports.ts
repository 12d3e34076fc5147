/**
 * How soon a port of a guest answers: through the daemon, against a direct connection to the guest.
 *
 * The agent's own port is both: the one port of a guest that the host reaches directly, through a Unix socket of QEMU's, and a port like any
 * other for the daemon to connect to. Each connection asks it the same, which it answers without work, so that nothing differs but the
 * way. The two take turns.
 */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { monotonicMs } from '../base/index.js';
import type { Sandbox } from '../contract/index.js';
import { withSandbox, type BenchContext } from './context.js';
import { agentOf, askOnce, ECHO_DEADLINE_MS, PING_FRAME } from './echo-probe.js';
import { formatMs, reached, type Section } from './section.js';
import { csvOf, inTurns, summaryOf, tableOf, type Turn } from './turns.js';

/** Where an agent listens in its guest. */
const AGENT_PORT = 10_000;
const MAX_DIFFERENCE_MS = 3;

export async function benchPorts(context: BenchContext): Promise<Section> {
  const turns = await withSandbox(context, context.sourceTag, (sandbox) =>
    inTurns(context.iterations, {
      direct: () => askOnce(agentOf(sandbox)),
      daemon: () => askThroughDaemon(context, sandbox),
    }),
  );
  return section(context, turns);
}

/** Connects, asks once and resolves with the ms until the first byte of an answer. */
async function askThroughDaemon({ client }: BenchContext, { id }: Sandbox): Promise<number> {
  const began = monotonicMs();
  const { href } = new URL(`/v1/sandboxes/${id}/ports/${AGENT_PORT}`, client.transport.url);
  const socket = new WebSocket(href.replace('http', 'ws'), { perMessageDeflate: false });
  const signal = AbortSignal.timeout(ECHO_DEADLINE_MS);
  try {
    await once(socket, 'open', { signal });
    socket.send(PING_FRAME);
    await once(socket, 'message', { signal });
    return monotonicMs() - began;
  } finally {
    socket.terminate();
  }
}

function section({ sourceTag }: BenchContext, turns: readonly Turn<'direct' | 'daemon'>[]): Section {
  const [direct, daemon] = [summaryOf(turns, 'direct'), summaryOf(turns, 'daemon')];
  const differenceMs = daemon === undefined || direct === undefined ? undefined : daemon.p50 - direct.p50;
  return {
    name: 'ports',
    title: 'The first byte of a port of a guest: through the daemon, and directly',
    conditions: [`snapshot ${sourceTag}; a connection each, the same question to the same program, in turns`],
    tables: [tableOf('From connecting to the first byte of the answer, ms', turns)],
    verdicts: reached([
      differenceMs === undefined
        ? undefined
        : {
            promise: `the first byte within ${MAX_DIFFERENCE_MS} ms of a direct connection, at p50`,
            measured: Number.isFinite(differenceMs) ? `${formatMs(differenceMs)} ms more` : 'failed',
            held: differenceMs <= MAX_DIFFERENCE_MS,
            decides: false,
          },
    ]),
    csv: csvOf(turns),
  };
}
