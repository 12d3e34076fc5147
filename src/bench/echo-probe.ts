/**
 * The guest seen from outside: how long one question takes to be answered, asked again and again.
 *
 * What is asked is the agent, without its secret: it answers "unauthorized", and that is an answer. Every
 * question is a connection of its own, so the longest one spans whatever kept the guest from running: pause
 * window, copying, faults.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import type { ChannelAddress } from '../agent/index.js';
import { monotonicMs } from '../base/index.js';
import type { Sandbox } from '../contract/index.js';
import { GATE_ENV_FORWARD } from '../vmm/index.js';

/** Then a question has failed. */
export const ECHO_DEADLINE_MS = 30_000;
const REQUEST_FRAME = 1;

/** A question that the agent answers without work, also to who does not know its secret. */
export const PING_FRAME = requestFrame({ op: 'ping' });

/** Runs `work` and resolves with its result and the longest time one answer took meanwhile, in ms. */
export async function longestEchoDuring<T>(
  agent: ChannelAddress,
  work: () => Promise<T>,
): Promise<{ result: T; echoMs: number }> {
  const over = new AbortController();
  const asking = (async () => {
    let longestMs = 0;
    do longestMs = Math.max(longestMs, await askOnce(agent));
    while (!over.signal.aborted);
    return longestMs;
  })();
  // It may fail while work() still runs; it is asked about afterwards.
  asking.catch(() => undefined);
  try {
    const result = await work();
    over.abort();
    return { result, echoMs: await asking };
  } finally {
    over.abort();
  }
}

/** Where the agent of a sandbox is, for who is on its host and may look at its VMM: the path that its gate was told. */
export function agentOf({ id, pid }: Pick<Sandbox, 'id' | 'pid'>): ChannelAddress {
  const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  const forward = variables.find((variable) => variable.startsWith(`${GATE_ENV_FORWARD}=`));
  if (forward === undefined) throw new Error(`The VMM of sandbox "${id}" has no gate`);
  return { path: forward.slice(GATE_ENV_FORWARD.length + 1) };
}

/** Asks once and resolves with the ms until the first byte of an answer. */
export async function askOnce(agent: ChannelAddress): Promise<number> {
  const began = monotonicMs();
  const socket = createConnection(agent);
  const signal = AbortSignal.timeout(ECHO_DEADLINE_MS);
  try {
    socket.write(PING_FRAME);
    await once(socket, 'data', { signal });
    return monotonicMs() - began;
  } finally {
    socket.destroy();
  }
}

function requestFrame(request: object): Buffer {
  const payload = Buffer.from(JSON.stringify(request));
  const header = Buffer.alloc(5);
  header.writeUInt8(REQUEST_FRAME);
  header.writeUInt32BE(payload.length, 1);
  return Buffer.concat([header, payload]);
}
