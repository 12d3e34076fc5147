/** Ports of sandboxes over a host without VMs, whose guests' ports are this machine's. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { MiB } from '../../src/base/index.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import { until } from './rows-table.js';
import { testServer, type TestServer } from './support.js';

describe('a connection to a port', () => {
  let server: TestServer;
  let address = '';
  let id = '';
  const guests: Server[] = [];

  before(async () => {
    server = testServer();
    address = await server.app.listen({ host: '127.0.0.1', port: 0 });
    const [sandbox] = await server.host.spawn({ snapshotTag: 'base', count: 1 }, ownCall());
    id = sandbox?.id ?? '';
  });
  after(async () => {
    await until(() => server.calls.count('socket') === 0);
    for (const guest of guests) guest.close();
    await stopShell(server, 50);
  });

  const guest = async (serve: (socket: Socket) => void): Promise<number> => {
    const listener = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined);
      serve(socket);
    });
    guests.push(listener);
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return (listener.address() as AddressInfo).port;
  };
  const open = (port: number | string, sandbox = id): WebSocket =>
    new WebSocket(`${address.replace('http', 'ws')}/v1/sandboxes/${sandbox}/ports/${port}`);

  it('carries bytes both ways, each direction to its own end', async () => {
    const port = await guest((socket) => {
      let heard = '';
      socket.on('data', (bytes: Buffer) => (heard += bytes.toString()));
      socket.on('end', () => socket.end(`heard ${heard}`));
    });
    const socket = open(port);
    const pieces: string[] = [];
    socket.on('message', (bytes: Buffer) => pieces.push(bytes.toString()));
    await once(socket, 'open');
    for (const each of ['all', ' of it', '']) socket.send(Buffer.from(each));
    const [code] = (await once(socket, 'close')) as [number];
    assert.deepEqual([pieces.join(''), pieces.at(-1), code], ['heard all of it', '', 1000]);
  });

  it('is closed at once where nobody listens, and where there is no such port or sandbox', async () => {
    const refused = async (socket: WebSocket): Promise<unknown[]> => {
      const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
      return [code, reason.toString()];
    };
    assert.deepEqual(await refused(open(1)), [1011, 'port_unreachable']);
    assert.deepEqual(await refused(open(80, 'nowhere')), [1011, 'sandbox_not_found']);
    for (const port of ['0', '65536', '-1', '1e3', '%00', '9'.repeat(40)]) {
      const answer = await fetch(`${address}/v1/sandboxes/${id}/ports/${port}`);
      assert.deepEqual(
        [answer.status, ((await answer.json()) as { code: string }).code],
        [400, 'invalid_request'],
      );
    }
  });

  it('tells of a reset, and resets the connection of who goes away', async () => {
    const gone: string[] = [];
    let connectionCount = 0;
    const port = await guest((socket) => {
      connectionCount += 1;
      socket.on('error', ({ message }) => gone.push(message));
      socket.on('close', () => gone.push('closed'));
      socket.once('data', () => socket.resetAndDestroy());
    });
    const socket = open(port);
    await once(socket, 'open');
    socket.send('x');
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    assert.deepEqual([code, reason.toString()], [1011, 'port_failed']);
    const leaver = open(port);
    await once(leaver, 'open');
    await until(() => connectionCount === 2);
    leaver.close();
    await until(() => gone.filter((each) => each === 'closed').length === 2);
  });

  it('makes the guest wait for a slow reader', async () => {
    const sockets: Socket[] = [];
    const bytes = Buffer.alloc(64 * MiB);
    const port = await guest((socket) => {
      sockets.push(socket);
      socket.end(bytes);
    });
    const socket = open(port);
    await once(socket, 'open');
    socket.pause();
    const before = process.memoryUsage().arrayBuffers;
    await until(() => sockets.length === 1);
    await delay(300);
    assert.ok((sockets[0]?.writableLength ?? 0) > 0, 'it is not read on');
    assert.ok(process.memoryUsage().arrayBuffers - before < 16 * MiB);
    let count = 0;
    socket.on('message', (piece: Buffer) => (count += piece.length));
    socket.resume();
    await until(() => count === 64 * MiB);
    socket.send(Buffer.alloc(0));
    assert.equal(((await once(socket, 'close')) as [number])[0], 1000);
  });
});
