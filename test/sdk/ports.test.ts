/** `sandbox.ports` against a daemon over a host without VMs, whose guests' ports are this machine's. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { loadConfig } from '../../src/daemon/config.js';
import { serve, type Daemon } from '../../src/daemon/serve.js';
import { Bough, BoughApiError, type Sandbox } from '../../src/sdk/index.js';
import { silent } from '../daemon/support.js';
import { fakeHost } from '../support/fake-host.js';

const TOKEN = 'a-token-of-the-daemon-that-no-guest-may-see';

describe('ports of a sandbox in the SDK', { timeout: 60_000 }, () => {
  let daemon: Daemon;
  let sandbox: Sandbox;
  let dir = '';
  const servers: Server[] = [];

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-ports-'));
    const tokenFile = join(dir, 'token');
    await writeFile(tokenFile, TOKEN, { mode: 0o600 });
    const config = loadConfig({ listen: '127.0.0.1:0', stateDir: '/nowhere', tokenFile }, {});
    daemon = await serve(config, fakeHost(), { log: silent, drainMs: 20 });
    const bough = new Bough({
      url: daemon.address,
      token: TOKEN,
      webSocket: (url, headers) => new WebSocket(url, { headers }),
    });
    sandbox = await bough.spawn('base');
  });
  after(async () => {
    for (const server of servers) server.close();
    await daemon.close();
    await rm(dir, { recursive: true });
  });

  const listening = async (server: Server): Promise<number> => {
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const guest = (serveOne: (socket: Socket) => void): Promise<number> =>
    listening(
      createServer({ allowHalfOpen: true }, (socket) => {
        socket.on('error', () => undefined);
        serveOne(socket);
      }),
    );

  it('connects: what is written arrives, each direction has its own end', async () => {
    const port = await guest((socket) => {
      let heard = '';
      socket.on('data', (bytes: Buffer) => (heard += bytes.toString()));
      socket.on('end', () => socket.end(`heard ${heard}`));
    });
    await using connection = await sandbox.ports.connect(port);
    await connection.end('all of it');
    assert.equal(await connection.text(), 'heard all of it');
  });

  it('makes a guest wait for a slow reader, and a writer for a slow guest', async () => {
    const count = 32 << 20;
    const sockets: Socket[] = [];
    const [sends, takes] = [
      await guest((socket) => socket.end(Buffer.alloc(count))),
      await guest((socket) => sockets.push(socket.pause())),
    ];
    const reading = await sandbox.ports.connect(sends);
    const reader = reading.readable.getReader();
    let read = 0;
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      read += piece.value.length;
      if (read < 1 << 20) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.equal(read, count);

    const writing = await sandbox.ports.connect(takes);
    let isDone = false;
    const written = writing.end(new Uint8Array(count)).then(() => (isDone = true));
    while (sockets.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(isDone, false);
    let arrived = 0;
    for await (const piece of sockets[0] ?? []) arrived += (piece as Buffer).length;
    await written;
    assert.equal(arrived, count);
  });

  it('tells both streams why there is no connection', async () => {
    const connection = await sandbox.ports.connect(1);
    const isUnreachable = (error: unknown): boolean =>
      error instanceof BoughApiError && error.code === 'port_unreachable' && error.status === 502;
    await assert.rejects(connection.text(), isUnreachable);
    await assert.rejects(connection.end('x'), isUnreachable);
    connection.close();
  });

  it('ends with its signal, and with close(), which the guest sees as a reset', async () => {
    const ended: Promise<unknown>[] = [];
    const port = await guest((socket) => {
      ended.push(new Promise((resolve) => socket.on('close', resolve)));
      socket.resume();
    });
    const abort = new AbortController();
    const first = await sandbox.ports.connect(port, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await assert.rejects(first.text(), /enough/);
    const second = await sandbox.ports.connect(port);
    while (ended.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    second.close();
    await assert.rejects(second.text(), TypeError);
    await Promise.all(ended);
  });

  it('fetches, any path, and shows the daemon’s token to nobody', async () => {
    const asked: IncomingMessage[] = [];
    const port = await listening(
      createHttpServer((request, response) => {
        asked.push(request);
        response.writeHead(request.url === '/away' ? 302 : 200, { location: 'http://127.0.0.1:1/' });
        request.pipe(response);
      }),
    );
    const init = { method: 'POST', body: 'hello', headers: { authorization: 'Basic mine' } };
    assert.equal(await (await sandbox.ports.fetch(port, '/a/../../v1/sandboxes?b=c', init)).text(), 'hello');
    assert.equal((await sandbox.ports.fetch(port, 'away')).status, 302);
    assert.deepEqual(
      asked.map(({ url, headers }) => [url, headers.authorization]),
      [
        ['/v1/sandboxes?b=c', 'Basic mine'],
        ['/away', undefined],
      ],
    );
    for (const { headers } of asked) assert.doesNotMatch(JSON.stringify(headers), new RegExp(TOKEN));
    const nobody = await sandbox.ports.fetch(1);
    assert.deepEqual(
      [nobody.status, ((await nobody.json()) as { code: string }).code],
      [502, 'port_unreachable'],
    );
    const url = sandbox.ports.url(port, '/x');
    assert.equal(
      (await fetch(url, { headers: { authorization: `Bearer ${TOKEN}` } })).url,
      `${daemon.address}/s/${sandbox.id}/p/${port}/x`,
    );
  });
});
