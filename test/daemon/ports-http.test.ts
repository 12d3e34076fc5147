/** Ports of sandboxes over HTTP, over a host without VMs: whose guests' ports are this machine's. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type RequestListener } from 'node:http';
import {
  connect,
  createServer as createTcpServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { MiB } from '../../src/base/index.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import { until } from './rows-table.js';
import { rawExchange, testServer, token, type TestServer } from './support.js';

describe('ports over HTTP', () => {
  let server: TestServer;
  let daemonPort = 0;
  let id = '';
  const guests: Server[] = [];

  before(async () => {
    server = testServer();
    daemonPort = await listenOn(server);
    id = await spawnOn(server);
  });
  after(async () => {
    for (const guest of guests) guest.close();
    await until(() => ['stream', 'socket'].every((kind) => server.calls.count(kind as 'stream') === 0));
    await stopShell(server, 50);
  });

  const listening = async (guest: Server): Promise<number> => {
    guests.push(guest);
    guest.listen(0, '127.0.0.1');
    await once(guest, 'listening');
    return (guest.address() as AddressInfo).port;
  };
  const httpGuest = (serve: RequestListener): Promise<number> => listening(createServer(serve));
  const rawGuest = (serve: (socket: Socket) => void): Promise<number> =>
    listening(
      createTcpServer({ allowHalfOpen: true }, (socket) => serve(socket.on('error', () => undefined))),
    );
  const url = (port: number, rest = '/'): string => `http://127.0.0.1:${daemonPort}/s/${id}/p/${port}${rest}`;
  /** As fetch() does not let one: with any Host. */
  const get = async (path: string, headers: Record<string, string>): Promise<IncomingMessage> => {
    const asked = request({ port: daemonPort, path, headers, setHost: headers['host'] === undefined });
    asked.end();
    return ((await once(asked, 'response')) as [IncomingMessage])[0];
  };
  const codeOf = async (answer: Response): Promise<[number, unknown]> => [
    answer.status,
    ((await answer.json()) as { code: unknown }).code,
  ];

  it('pass a request on as it is, and its answer', async () => {
    const seen: IncomingMessage[] = [];
    const port = await httpGuest((asked, answer) => {
      seen.push(asked);
      answer.writeHead(418, 'short and stout', {
        'x-mine': 'a',
        'set-cookie': ['a=1', 'b=2'],
        'cache-control': 'max-age=5',
      });
      asked.pipe(answer);
    });
    const answer = await fetch(url(port, '/a%20b/..%2f?q=%ff&q=1'), {
      method: 'PATCH',
      body: 'some body',
      headers: {
        'content-type': 'x/y',
        authorization: 'Basic mine',
        'bough-authorization': 'Bearer x',
      },
    });
    assert.deepEqual([answer.status, await answer.text()], [418, 'some body']);
    assert.deepEqual(answer.headers.getSetCookie(), ['a=1', 'b=2']);
    assert.deepEqual([answer.headers.get('x-mine'), answer.headers.get('cache-control')], ['a', 'max-age=5']);
    const [{ method, url: path, headers }] = seen as [IncomingMessage];
    assert.deepEqual([method, path], ['PATCH', '/a%20b/..%2f?q=%ff&q=1']);
    assert.deepEqual([headers['content-type'], headers.authorization], ['x/y', 'Basic mine']);
    assert.equal(headers['bough-authorization'], undefined);
    assert.equal((await fetch(url(port), { method: 'HEAD' })).status, 418);
    const chunked = request(url(port), { method: 'DELETE', headers: { 'transfer-encoding': 'chunked' } }).end(
      'GET /',
    );
    assert.equal(await text(((await once(chunked, 'response')) as [IncomingMessage])[0]), 'GET /');
    const redirected = await fetch(url(port, '?x'), { redirect: 'manual' });
    assert.deepEqual([redirected.status, redirected.headers.get('location')], [308, `/s/${id}/p/${port}/?x`]);
  });

  it('are found by Host and by headers too, and a page there has an origin of its own', async () => {
    const port = await httpGuest((asked, answer) => {
      answer.setHeader('content-security-policy', "default-src 'self'");
      answer.end(`${asked.headers.host ?? ''} ${asked.url ?? ''}`);
    });
    const host = `${port}-${id}.localhost:${daemonPort}`;
    const byHost = await get('/v1/snapshots?x', { host });
    assert.equal(await text(byHost), `${host} /v1/snapshots?x`);
    assert.equal(byHost.headers['content-security-policy'], "default-src 'self'");
    const byHeaders = await get('/here', { 'bough-sandbox': id, 'bough-port': String(port) });
    assert.match(await text(byHeaders), / \/here$/);
    assert.match(String(byHeaders.headers['content-security-policy']), /^default-src 'self', sandbox /);
    const byPath = await fetch(url(port, '/there'));
    assert.match(await byPath.text(), / \/there$/);
    assert.match(byPath.headers.get('content-security-policy') ?? '', /sandbox allow-scripts/);
    assert.doesNotMatch(byPath.headers.get('content-security-policy') ?? '', /allow-same-origin/);
    for (const [rest, headers] of [
      ['/', { host: `${port}-${id}.evil.example` }],
      ['/', { host: 'evil.example', 'bough-sandbox': id, 'bough-port': String(port) }],
      [`/s/${id}/p/${port}/`, { host: 'evil.example' }],
      [`/s/${id}/p/${port}/`, { origin: 'http://evil.example' }],
      [`/s/${id}/p/${port}/`, { origin: 'null' }],
    ] as const)
      assert.equal((await get(rest, headers)).statusCode, 403, JSON.stringify(headers));
  });

  it('refuse at once where nobody listens, and what is no port or no sandbox', async () => {
    assert.deepEqual(await codeOf(await fetch(url(1))), [502, 'port_unreachable']);
    for (const port of ['0', '65536', '-1', '1e3', '%00', '9'.repeat(40)])
      assert.deepEqual(await codeOf(await fetch(url(port as unknown as number))), [400, 'invalid_request']);
    for (const other of ['nowhere', '%2e%2e', '%00', 'a'.repeat(300)]) {
      const answer = await get(`/s/${other}/p/80/`, {});
      const { code } = JSON.parse(await text(answer)) as { code: string };
      assert.deepEqual([answer.statusCode, code], [404, 'sandbox_not_found'], other);
    }
    assert.deepEqual(await codeOf(await fetch(`http://127.0.0.1:${daemonPort}/s/${id}`)), [
      404,
      'route_not_found',
    ]);
  });

  it('refuse an upload where nobody listens, and answer what follows it on its connection', async () => {
    const size = 10 * MiB;
    const head = `POST /s/${id}/p/1/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${size}\r\n\r\n`;
    const next = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    const heard = await sayAndHear(daemonPort, `${head}${'x'.repeat(size)}${next}`);
    assert.match(heard, /^HTTP\/1\.1 502 [^]*"code":"port_unreachable"[^]*HTTP\/1\.1 200 /);
  });

  it('say that a program answered no HTTP, or nothing', async () => {
    for (const said of [
      'junk\r\n\r\n',
      '',
      'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
      `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`,
      'HTTP/1.1 099 no\r\n\r\n',
      'HTTP/1.1 999 no\r\n\r\n',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    ]) {
      const port = await rawGuest((socket) => socket.resume().end(said));
      assert.deepEqual(await codeOf(await fetch(url(port))), [502, 'port_failed'], JSON.stringify(said));
    }
    const broken = await rawGuest((socket) => {
      socket.once('data', () =>
        socket.end(
          'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nSet-Cookie: a=1\r\nContent-Length: 5\r\n\r\n',
        ),
      );
    });
    const answer = await fetch(url(broken));
    assert.deepEqual(
      [answer.headers.get('content-encoding'), answer.headers.get('set-cookie')],
      [null, null],
    );
    assert.deepEqual(await codeOf(answer), [502, 'port_failed']);
    const cut = await rawGuest((socket) =>
      socket.resume().end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal'),
    );
    await assert.rejects((await fetch(url(cut))).text());
  });

  it('keep the length of a body whatever a request calls a matter of its connection', async () => {
    const heads: string[] = [];
    const port = await rawGuest((socket) =>
      socket.once('data', (head: Buffer) => {
        heads.push(head.toString());
        socket.end('HTTP/1.1 204 No Content\r\n\r\n');
      }),
    );
    for (const more of ['', 'Upgrade: websocket\r\n'])
      await sayAndHear(
        daemonPort,
        `GET /s/${id}/p/${port}/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n${more}` +
          'X-Mine: 1\r\nConnection: close, upgrade, Content-Length, host, x-mine\r\n\r\nGET / ',
      );
    assert.equal(heads.length, 2);
    for (const head of heads) {
      assert.match(head, /content-length: 6\r\n/i);
      assert.match(head, /host: localhost\r\n/i);
      assert.doesNotMatch(head, /^x-mine:/im);
    }
  });

  it('keep from a browser and a program what is about all that has the host name', async () => {
    const cookies: (string | undefined)[] = [];
    const shared = {
      'set-cookie': ['a=1'],
      'clear-site-data': '"*"',
      'strict-transport-security': 'max-age=9',
    };
    const port = await httpGuest(({ headers }, answer) => {
      cookies.push(headers.cookie);
      answer.writeHead(200, { ...shared, 'alt-svc': 'h2=":1"', 'x-mine': '1' }).end();
    });
    const cookie = 'session=of-another-port';
    const namesSent = async (path: string, headers: Record<string, string>): Promise<string[]> => {
      const answer = await get(path, { cookie, ...headers });
      answer.resume();
      return Object.keys(answer.headers).filter((name) => name in shared || /alt-svc|x-mine/.test(name));
    };
    const path = `/s/${id}/p/${port}/`;
    const all = [...Object.keys(shared), 'alt-svc', 'x-mine'];
    assert.deepEqual(await namesSent(path, { 'sec-fetch-site': 'none' }), ['x-mine']);
    assert.deepEqual(await namesSent(path, { 'user-agent': 'Mozilla/5.0 (X11)' }), ['x-mine']);
    assert.deepEqual(await namesSent(path, { 'user-agent': 'curl/8' }), all);
    const host = `${port}-${id}.localhost:${daemonPort}`;
    assert.deepEqual(await namesSent('/', { host, 'user-agent': 'Mozilla/5.0 (X11)' }), all);
    assert.deepEqual(cookies, [undefined, undefined, cookie, cookie]);
    const upgrade = { connection: 'upgrade', upgrade: 'websocket', 'user-agent': 'Mozilla/5.0 (X11)' };
    assert.equal((await get(path, upgrade)).statusCode, 403);
  });

  it('carry 200 requests at once, and lose no byte', async () => {
    const port = await httpGuest((asked, answer) => void asked.pipe(answer));
    const echo = async (seed: number): Promise<void> => {
      const bytes = Buffer.alloc(50_000 + seed, `${seed} `);
      const answer = await fetch(url(port), { method: 'POST', body: bytes });
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes), `request ${seed}`);
    };
    await Promise.all(Array.from({ length: 200 }, (_, seed) => echo(seed)));
  });

  it('answer as it comes, wait for who is slow on either side, and end with who leaves', async () => {
    let ofGuest: Socket | undefined;
    const port = await rawGuest((socket) => {
      ofGuest = socket.resume();
      socket.write('HTTP/1.1 200 OK\r\n\r\nfirst');
    });
    const asked = request(url(port)).end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    assert.equal(String((await once(answer, 'data'))[0]), 'first');
    answer.pause();
    ofGuest?.write(Buffer.alloc(64 * MiB));
    const before = process.memoryUsage().arrayBuffers;
    await delay(300);
    assert.ok((ofGuest?.writableLength ?? 0) > 0, 'it is not read on');
    assert.ok(process.memoryUsage().arrayBuffers - before < 16 * MiB);
    const closed = new Promise((resolve) => ofGuest?.once('close', resolve));
    answer.on('error', () => undefined);
    asked.on('error', () => undefined).destroy();
    await closed;
  });

  it('carry a WebSocket', async () => {
    const http = createServer();
    const sockets = new WebSocketServer({ server: http });
    sockets.on('connection', (socket, asked) => {
      socket.on('message', (bytes: Buffer) => socket.send(`${asked.url ?? ''} ${bytes.toString()}`));
    });
    const port = await listening(http);
    for (const [target, headers] of [
      [url(port, '/ws?a=1'), {}],
      [`http://127.0.0.1:${daemonPort}/ws?a=1`, { host: `${port}-${id}.localhost` }],
    ] as const) {
      const socket = new WebSocket(target.replace('http', 'ws'), { headers });
      await once(socket, 'open');
      const large = 'x'.repeat(3_000_000);
      socket.send(large);
      assert.equal(String((await once(socket, 'message'))[0]), `/ws?a=1 ${large}`);
      socket.close(4000, 'enough');
      assert.equal((await once(socket, 'close'))[0], 4000);
    }
    for (const [target, headers, status] of [
      [url(1), {}, 502],
      [url(port), { origin: 'http://evil.example' }, 403],
      [`http://127.0.0.1:${daemonPort}/s/nowhere/p/80/`, {}, 404],
    ] as const) {
      const refused = new WebSocket(target.replace('http', 'ws'), { headers }).on('error', () => undefined);
      const [asked, answer] = (await once(refused, 'unexpected-response')) as [
        { destroy(): void },
        IncomingMessage,
      ];
      assert.equal(answer.statusCode, status);
      asked.destroy();
    }
    sockets.close();
  });

  it('leave the daemon alone, and nothing behind, when an upgrade is asked for in a way that cannot be', async () => {
    const upgrade = (path: string): string =>
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
    const openCount = (): Promise<number> =>
      new Promise((resolve) => server.app.server.getConnections((_error, count) => resolve(count)));
    const before = await openCount();
    const port = await httpGuest(() => undefined);
    // Before an earlier request of the connection is answered.
    await sayAndHear(
      daemonPort,
      `GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n${upgrade(`/s/${id}/p/${port}/`)}`,
    );
    // By who is gone before there is an answer.
    const gone = connect(daemonPort, '127.0.0.1', () => {
      gone.write(upgrade(`/s/${id}/p/${port}/`), () => gone.resetAndDestroy());
    });
    await once(gone, 'close');
    // Of a path that cannot be read.
    for (const path of ['/s/%zz/p/80/', '/v1/sandboxes/%zz/ports/80'])
      assert.match(await sayAndHear(daemonPort, upgrade(path)), /^HTTP\/1\.1 4\d\d /);
    while ((await openCount()) > before) await delay(10);
    assert.equal((await get('/healthz', {})).statusCode, 200);
  });

  it('want the token, and keep it from the guest', async () => {
    const guarded = testServer({}, { token });
    const guardedPort = await listenOn(guarded);
    const sandbox = await spawnOn(guarded);
    const seen: (string | undefined)[] = [];
    const port = await httpGuest(({ headers }, answer) => {
      seen.push(headers.authorization, headers['bough-authorization'] as string | undefined);
      answer.end();
    });
    const statusWith = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`http://127.0.0.1:${guardedPort}/s/${sandbox}/p/${port}/`, { headers })).status;
    assert.equal(await statusWith({}), 401);
    assert.equal(await statusWith({ authorization: 'Bearer x' }), 401);
    assert.equal(await statusWith({ authorization: `Bearer ${token}` }), 200);
    assert.equal(
      await statusWith({ authorization: 'Basic mine', 'bough-authorization': `Bearer ${token}` }),
      200,
    );
    assert.deepEqual(seen, [undefined, undefined, 'Basic mine', undefined]);
    const handshake =
      `GET /s/${sandbox}/p/${port}/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';
    assert.match(await rawExchange(guardedPort, handshake), /^HTTP\/1\.1 401 [^]*"code":"unauthorized"/);
    await stopShell(guarded, 50);
  });
});

async function listenOn({ app }: TestServer): Promise<number> {
  return Number(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port);
}

async function spawnOn({ host }: TestServer): Promise<string> {
  const [sandbox] = await host.spawn({ snapshotTag: 'base', count: 1 }, ownCall());
  return sandbox?.id ?? '';
}

/** All that comes back before the connection ends. */
async function sayAndHear(port: number, said: string): Promise<string> {
  const socket = connect(port, '127.0.0.1', () => socket.write(said));
  let heard = '';
  socket.on('data', (bytes: Buffer) => (heard += bytes.toString('latin1'))).on('error', () => undefined);
  await new Promise((resolve) => socket.once('close', resolve));
  return heard;
}
