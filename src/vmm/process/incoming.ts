/**
 * Loads a device state into a VM that was started with `incoming: true`.
 *
 * QEMU listens on a Unix socket (from when it is started: it is not known yet what it will be sent), is sent the file, and reports the end with a MIGRATION event; `exec:` would
 * need a fork, and polling `query-migrate` would add its interval. A state that QEMU cannot read ends the
 * whole process in most QEMU versions: the connection then closes before any event, and the reason is in the
 * VMM's log.
 */
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { compact } from '../../base/index.js';
import { QmpDisconnected, type QmpClient } from '../../qmp/index.js';

/** QEMU refused the device state or died of it; the VM cannot be used. */
export class DeviceStateRejected extends Error {
  override readonly name = 'DeviceStateRejected';
}

const DEFAULT_DEADLINE_MS = 10_000;

/** Has QEMU listen at `socketPath`. */
export async function listenForDeviceState(
  qmp: QmpClient,
  socketPath: string,
  options: { signal?: AbortSignal } = {},
): Promise<void> {
  const capabilities = [{ capability: 'events', state: true }];
  await Promise.all([
    qmp.execute('migrate-set-capabilities', { capabilities }, options),
    qmp.execute('migrate-incoming', { uri: `unix:${socketPath}` }, options),
  ]);
}

/**
 * Streams the file to QEMU through the socket at `socketPath` that it listens on, and resolves when the device state is loaded (the
 * VM stays stopped). Rejects with DeviceStateRejected, QmpTimeout after `deadlineMs`, or the signal's reason;
 * kill the VMM then.
 */
export async function loadDeviceState(
  qmp: QmpClient,
  socketPath: string,
  stateFilePath: string,
  { deadlineMs = DEFAULT_DEADLINE_MS, signal }: { deadlineMs?: number; signal?: AbortSignal } = {},
): Promise<void> {
  const options = { timeoutMs: deadlineMs, ...compact({ signal }) };
  const ended = qmp.waitEvent('MIGRATION', ({ data }) => hasEnded(data['status']), options);
  ended.catch(() => undefined);
  try {
    const socket = createConnection(socketPath);
    // Once everything was sent the pipeline listens no more; a QEMU that ends then is told of by QMP.
    socket.on('error', () => undefined);
    const sent = pipeline(createReadStream(stateFilePath), socket, { end: true });
    // When QEMU refuses the state it also closes the socket; its word is the better explanation.
    await Promise.race([ended, sent.then(() => ended)]).catch(async (error: unknown) => {
      await ended;
      throw error;
    });
    await failOnBadEnd(qmp, (await ended).data['status']);
  } catch (error) {
    if (!(error instanceof QmpDisconnected)) throw error;
    throw new DeviceStateRejected(`QEMU ended while loading ${stateFilePath}`, { cause: error });
  } finally {
    await rm(socketPath, { force: true });
  }
}

function hasEnded(status: unknown): boolean {
  return status === 'completed' || status === 'failed';
}

async function failOnBadEnd(qmp: QmpClient, status: unknown): Promise<void> {
  if (status === 'completed') return;
  const { 'error-desc': reason } = await qmp.execute('query-migrate');
  throw new DeviceStateRejected(`QEMU could not load the device state: ${reason ?? 'no reason given'}`);
}
