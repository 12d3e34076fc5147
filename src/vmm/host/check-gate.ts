/** Whether QEMU can be held by the gate: it is started without a guest, and the gate in it says whether it is sealed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, withDeadline } from '../../base/index.js';
import { readSeal } from '../../network/index.js';
import { fail, ok, warn, type Check } from './check.js';
import type { QemuFacts } from './probe.js';

/** Built beside the TypeScript: native/gate/build of the package this file is part of. */
export const GATE_LIBRARY = fileURLToPath(
  new URL('../../../../native/gate/build/libgate.so', import.meta.url),
);

/** Of a VMM's environment, as native/gate/protocol.h has it: the sandbox's socket at the egress, and where its agent is reached. */
export const GATE_ENV_SOCKET = 'BOUGH_GATE_SOCKET';
export const GATE_ENV_FORWARD = 'BOUGH_GATE_FORWARD';

const NAME = 'network';
const DEADLINE_MS = 10_000;
const REMEDY =
  'No sandbox can be started. Use a QEMU that has libslirp as a shared library, as Debian’s does, and run npm run build';

/** A failure where it cannot: through it every guest's agent is reached. Nothing stays behind. */
export async function checkGate(qemu: QemuFacts | string, library = GATE_LIBRARY): Promise<Check> {
  if (typeof qemu === 'string') return warn(NAME, 'not tried without QEMU', REMEDY);
  const dir = await mkdtemp(join(tmpdir(), 'bough-gate-'));
  try {
    const isSealed = await tryGate(qemu.qemuPath, library, join(dir, 'gate'));
    if (isSealed) return ok(NAME, 'sandboxes can be given one: QEMU makes no connection by itself');
    return fail(NAME, 'the gate does not hold QEMU', REMEDY);
  } catch (error) {
    return fail(NAME, `the gate does not answer: ${messageOf(error)}`, REMEDY);
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
    const isSealed = await withDeadline(seal, DEADLINE_MS, 'The word of the gate');
    await requireForward(forwardPath(socketPath));
    return isSealed;
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
      [GATE_ENV_SOCKET]: socketPath,
      [GATE_ENV_FORWARD]: forwardPath(socketPath),
    },
  });
}

const forwardPath = (socketPath: string): string => join(dirname(socketPath), 'agent');

/** A gate of another version than this one says that it is sealed as well, and forwards nothing. */
async function requireForward(path: string): Promise<void> {
  const socket = connect(path);
  await once(socket, 'connect');
  socket.destroy();
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
