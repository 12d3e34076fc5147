/** What an egress takes in memory that many sandboxes are told to, and none uses: a process of its own, and gates that have said HELLO. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ResourceStack, sleep } from '../base/index.js';
import { networkPolicySchema } from '../contract/index.js';
import { EgressClient, FrameType, writeFrame } from '../network/index.js';
import { poll, type BenchContext } from './context.js';
import { processMemory, type ProcessMemory } from './process-memory.js';

export const IDLE_GATES = 1_000;
const EGRESS = fileURLToPath(new URL('../network/egress/main.js', import.meta.url));
const START_POLL_MS = 20;
const START_DEADLINE_MS = 20_000;
const SETTLE_MS = 2_000;
const SEALED = Buffer.from([0, 0, 0, 1]);
const POLICY = networkPolicySchema.parse({
  mode: 'list',
  rules: [{ allow: 'pypi.org' }, { allow: '*.pythonhosted.org' }, { allow: '10.1.0.0/16', ports: [5432] }],
});

/** Its memory once nothing happens any more. It is gone when this resolves. */
export async function egressWithIdleGates({ signal, say }: BenchContext): Promise<ProcessMemory> {
  await using resources = new ResourceStack();
  const dir = await mkdtemp(join(tmpdir(), 'bough-idle-gates-'));
  resources.defer(() => rm(dir, { recursive: true, force: true }));
  const socketPath = join(dir, 'egress');
  const egress = spawn(process.execPath, [EGRESS, socketPath], { stdio: 'ignore' });
  resources.defer(() => void egress.kill('SIGKILL'));
  await poll(START_POLL_MS, START_DEADLINE_MS, signal, () => connected(socketPath, resources));
  const client = new EgressClient({ socketPath, outputPath: '/dev/null', onLost: () => undefined });
  resources.defer(() => client.close());
  say(`telling an egress of ${IDLE_GATES} sandboxes`);
  for (let at = 0; at < IDLE_GATES; at++) await idleGate(client, join(dir, String(at)), resources);
  await sleep(SETTLE_MS, signal);
  return await processMemory(egress.pid ?? 0);
}

/** Tells of a sandbox, and is its gate. */
async function idleGate(client: EgressClient, path: string, resources: ResourceStack): Promise<void> {
  const paths = { socketPath: path, logPath: `${path}.log`, namesPath: `${path}.names` };
  await client.ask({ put: { sandbox: path, ...paths, policy: POLICY, presets: {} } });
  const gate = await connected(path, resources);
  gate?.write(writeFrame({ type: FrameType.hello, seq: 0, payload: SEALED }));
}

/** Undefined where nobody listens. */
async function connected(path: string, resources: ResourceStack): Promise<Socket | undefined> {
  const socket = connect(path);
  resources.defer(() => void socket.destroy());
  return once(socket, 'connect').then(
    () => socket,
    () => undefined,
  );
}
