/** Whether QEMU can be held by the gate: it is started without a guest, and the gate in it says whether it is sealed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, withDeadline } from '../../base/index.js';
import { readSeal } from '../../network/index.js';
import { ok, warn, type Check } from './check.js';
import type { QemuFacts } from './probe.js';

/** Built beside the TypeScript: native/gate/build of the package this file is part of. */
export const GATE_LIBRARY = fileURLToPath(
  new URL('../../../../native/gate/build/libgate.so', import.meta.url),
);

const NAME = 'network';
const DEADLINE_MS = 10_000;
const REMEDY =
  'Sandboxes can be started without a network only. Use a QEMU that has libslirp as a shared library, as Debian’s does, and run npm run build';

/** A warning where it cannot: sandboxes without a network need none. Nothing stays behind. */
export async function checkGate(qemu: QemuFacts | string, library = GATE_LIBRARY): Promise<Check> {
  if (typeof qemu === 'string') return warn(NAME, 'not tried without QEMU', REMEDY);
  const dir = await mkdtemp(join(tmpdir(), 'bough-gate-'));
  try {
    const isSealed = await tryGate(qemu.qemuPath, library, join(dir, 'gate'));
    if (isSealed) return ok(NAME, 'sandboxes can be given one: QEMU makes no connection by itself');
    return warn(NAME, 'the gate does not hold QEMU', REMEDY);
  } catch (error) {
    return warn(NAME, `the gate does not answer: ${messageOf(error)}`, REMEDY);
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function tryGate(qemuPath: string, library: string, socketPath: string): Promise<boolean> {
  const server = createServer();
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket.on('error', () => socket.destroy())));
  server.listen(socketPath);
  await once(server, 'listening');
  const qemu = startQemu(qemuPath, library, socketPath);
  const ended = once(qemu, 'close');
  try {
    const seal = new Promise<boolean>((resolve, reject) => {
      server.on('connection', (socket) => void sealOn(socket).then(resolve, reject));
      ended.then(() => reject(new Error('QEMU has ended')), reject);
    });
    return await withDeadline(seal, DEADLINE_MS, 'The word of the gate');
  } finally {
    qemu.kill('SIGKILL');
    await ended.catch(() => undefined);
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

function startQemu(qemuPath: string, library: string, socketPath: string): ChildProcess {
  const machine = ['-nodefaults', '-no-user-config', '-display', 'none', '-S', '-M', 'none'];
  const network = ['-netdev', 'user,id=net0,restrict=off,ipv6=off,hostfwd=tcp:127.0.0.1:0-:1'];
  return spawn(qemuPath, [...machine, ...network], {
    stdio: 'ignore',
    env: {
      LD_PRELOAD: library,
      BOUGH_GATE_SOCKET: socketPath,
      BOUGH_GATE_FORWARD: join(dirname(socketPath), 'agent'),
    },
  });
}

async function sealOn(socket: Socket): Promise<boolean> {
  let said = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    said = Buffer.concat([said, chunk]);
    const isSealed = readSeal(said);
    if (isSealed !== undefined) return isSealed;
  }
  throw new Error('it has hung up');
}
