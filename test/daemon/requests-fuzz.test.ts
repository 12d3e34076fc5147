/**
 * Requests put together by chance, at rows of every kind and at ports of a sandbox: whatever comes back is no 500, every refusal has the API's shape, and
 * nothing stays behind.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { it } from 'node:test';
import { ownCall } from '../../src/sandbox/host/call.js';
import { fakeHost } from '../support/fake-host.js';
import { Seeded } from '../faults/seeded.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import { networkPolicySchema } from '../../src/contract/index.js';
import { aSandbox } from '../support/fake-host.js';
import { until, withRows } from './rows-table.js';
import { testServer } from './support.js';

const REQUESTS = 256;
const AT_A_TIME = 16;
const QUIET_MS = 300;

const METHODS = [
  'GET',
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'FOO',
  'get',
  '',
];
const PATHS = [
  ...['/v1/number', '/v1/echo', '/v1/file', '/v1/socket/hi', '/v1/socket/end', '/v1/socket/much-too-long'],
  ...[
    '/',
    '',
    '*',
    '/v1',
    '/v1/',
    '//',
    '/v1/number/',
    '/v1/%2e%2e/',
    '/v1/socket/%00',
    '/v1/socket/%zz',
    '/v1/../v1/file',
  ],
  ...[
    'http://localhost/v1/number',
    '/v1/number?a=%ff&a=1&__proto__=1',
    '/v1/file#x',
    `/${'a'.repeat(3000)}`,
    '/v1/\u00e9',
  ],
];
/** Of the one sandbox; a port stands for the guest's program, which takes its place. */
const PORT_PATHS = [
  ...['/s/sandbox1/p/8080/a?b', '/s/sandbox1/p/8080/', '/s/sandbox1/p/8080', '/s/sandbox1/p/8080//%2e%2e/'],
  ...[
    '/s/sandbox1/p/1/',
    '/s/sandbox1/p/0/',
    '/s/sandbox1/p/99999/',
    '/s/sandbox1',
    '/s/%00/p/8080/',
    '/s//p//',
  ],
];
const HEADERS = [
  ...[
    'Host: 8080-sandbox1.localhost',
    'Host: 1-sandbox1.localhost:80',
    'Bough-Sandbox: sandbox1',
    'Bough-Port: 8080',
  ],
  ...[
    'Host: localhost',
    'Host: evil.example',
    'Host:',
    'host: localhost',
    'Origin: http://evil.example',
    'Origin: null',
  ],
  ...[
    'Content-Type: application/json',
    'Content-Type: text/plain',
    'Content-Type: /',
    'Content-Type: a/b; c="',
    'Content-Type:',
  ],
  ...[
    'Content-Length: 4',
    'Content-Length: 0',
    'Content-Length: -1',
    'Content-Length: 99999999999',
    'Content-Length: x',
  ],
  ...[
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: gzip',
    'Transfer-Encoding: chunked, chunked',
    'Expect: 100-continue',
  ],
  ...[
    'Expect: nothing',
    'Upgrade: websocket',
    'Upgrade: h2c',
    'Connection: Upgrade',
    'Connection: close',
    'Connection: \u00ff',
  ],
  ...[
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Version: 99',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    'Sec-WebSocket-Key: x',
  ],
  ...[
    'Authorization: Bearer x',
    'Range: bytes=0-',
    'Idempotency-Key: \t',
    'X: \u0001',
    'No colon here',
    ': no name',
    ' folded: x',
  ],
];
const BODIES = [
  '',
  '{}',
  '{"n":1}',
  '{"n":1e999}',
  '{"__proto__":1}',
  '[]',
  'null',
  '{"n":',
  '\u0000',
  '[['.repeat(5000),
  'x'.repeat(70_000),
];
const CHUNKED = [
  '4\r\nnull\r\n0\r\n\r\n',
  'ffffffff\r\nx',
  'zz\r\n',
  '0\r\n\r\nGET /v1/number HTTP/1.1\r\nHost: localhost\r\n\r\n',
];
const VERSIONS = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', ''];

function request(chance: Seeded): string {
  // Most headers of the list are wrong: with none, a request has a chance of being answered.
  const headers = Array.from({ length: chance.below(2) * chance.below(4) }, () => chance.pick(HEADERS));
  if (chance.below(4) > 0) headers.unshift('Host: localhost');
  const isPlausible = chance.below(3) > 0;
  const method = isPlausible ? METHODS[chance.below(5)] : chance.pick(METHODS);
  const paths = chance.below(3) > 0 ? PATHS : PORT_PATHS;
  const path = isPlausible ? paths[chance.below(5)] : chance.pick(paths);
  const first = `${method ?? ''} ${path ?? ''} ${isPlausible ? 'HTTP/1.1' : chance.pick(VERSIONS)}`;
  const text = `${[first, ...headers].join('\r\n')}\r\n\r\n${chance.pick(chance.below(2) > 0 ? BODIES : CHUNKED)}`;
  // Now and then only a part of it arrives.
  return chance.below(5) > 0 ? text : text.slice(0, chance.below(text.length));
}

/** All that comes back before the peer ends the connection or says nothing more. */
async function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'));
    let received = '';
    socket.setTimeout(QUIET_MS, () => socket.destroy());
    socket.on('data', (chunk) => (received += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(received));
  });
}

function checkAnswer(sent: string, answer: string): void {
  const [, status = ''] = /^HTTP\/1\.1 (\d{3}) /.exec(answer) ?? [];
  assert.doesNotMatch(answer, /^HTTP\/1\.1 500 /m, JSON.stringify(sent));
  if (!status.startsWith('4') || sent.startsWith('HEAD ')) return;
  const [head = '', body = ''] = answer.split('\r\n\r\n', 2);
  // What the WebSocket library refuses is over HTTP, and by then nobody else's.
  if (/\r\nsec-websocket|Content-Type: text\/html/i.test(head) && /Upgrade: websocket/i.test(sent)) return;
  // What a guest's program says is its own.
  if (/\r\nx-guest: /i.test(head)) return;
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
  assert.ok(length > 0, JSON.stringify([sent, answer]));
  const json = JSON.parse(body.slice(0, length)) as Record<string, unknown>;
  assert.deepEqual([typeof json['error'], typeof json['code']], ['string', 'string'], JSON.stringify(sent));
  assert.match(head, /\r\nx-request-id: [0-9a-f]{16}/i, JSON.stringify(sent));
}

it('requests put together by chance are answered or refused, and leave nothing behind', async (test) => {
  const chance = Seeded.fromEnvironment();
  test.diagnostic(chance.name);
  const host = fakeHost();
  await host.spawn({ snapshotTag: 'base', count: 1 }, ownCall());
  const guest = createServer((asked, answer) => {
    answer.setHeader('x-guest', '1');
    asked.pipe(answer);
  });
  guest.on('clientError', (_error, socket) => socket.end('HTTP/1.1 400 Bad Request\r\nX-Guest: 1\r\n\r\n'));
  guest.on('upgrade', (_asked, socket) => socket.end('HTTP/1.1 400 Bad Request\r\nX-Guest: 1\r\n\r\n'));
  await new Promise<void>((resolve) => guest.listen(0, '127.0.0.1', resolve));
  const guestPort = String((guest.address() as AddressInfo).port);
  await withRows(
    async ({ port, app, calls }) => {
      const plain = 'GET /v1/number HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
      for (let done = 0; done < REQUESTS; done += AT_A_TIME) {
        const texts = Array.from({ length: AT_A_TIME }, () => request(chance).replaceAll('8080', guestPort));
        const [ofPlain, ...answers] = await Promise.all(
          [plain, ...texts].map((text) => exchange(port, text)),
        );
        assert.match(
          ofPlain ?? '',
          /^HTTP\/1\.1 200 [^]*\{"n":7\}$/,
          'a plain request beside them is answered',
        );
        texts.forEach((text, at) => checkAnswer(text, answers[at] ?? ''));
      }
      await until(() => ['json', 'stream', 'socket'].every((kind) => calls.count(kind as 'json') === 0));
      const open = () =>
        new Promise<number>((resolve) => app.server.getConnections((_error, count) => resolve(count)));
      let count = await open();
      await until(() => {
        void open().then((now) => (count = now));
        return count === 0;
      });
    },
    { bodyTimeoutMs: 150, host },
  );
  guest.close();
});

const TARGETS = [
  ...[
    'a.example',
    '*.a.example',
    '*',
    'host',
    '10.0.0.0/8',
    '10.0.0.1/8',
    '::1',
    '0x7f.1',
    'a..b',
    '',
    '\u0000',
    'Ä.example',
  ],
  ...['x'.repeat(301), 'xn--', '*.*', '0.0.0.0/0', '-a.example', 'host.bough.internal', 7, null],
];
const PORTS = [
  [80],
  [0],
  [65_536],
  [1.5],
  [],
  ['80'],
  443,
  [[80]],
  Array.from({ length: 65 }, (_, port) => port + 1),
];
const ODD = [null, -0, 1e308, '', [], {}, true, 'internet', '\ud800'];

/** A policy in most of its parts, and in some of them nonsense. */
function somePolicy(chance: Seeded): string {
  const rule = () => ({
    [chance.pick(['allow', 'deny', 'allow', '__proto__'])]: chance.pick(TARGETS),
    ...(chance.below(2) > 0 && { ports: chance.pick(PORTS) }),
    ...(chance.below(8) === 0 && { [chance.pick(['why', 'deny', 'inject'])]: chance.pick(ODD) }),
  });
  const policy = {
    mode: chance.below(4) > 0 ? chance.pick(['off', 'list', 'internet', 'none']) : chance.pick(ODD),
    rules: chance.below(6) > 0 ? Array.from({ length: chance.below(5) }, rule) : chance.pick(ODD),
    ...(chance.below(3) === 0 && {
      presets: chance.below(2) > 0 ? [chance.pick(['python', 'perl'])] : chance.pick(ODD),
    }),
    ...(chance.below(3) === 0 && {
      max_connections: chance.below(2) > 0 ? chance.below(2000) : chance.pick(ODD),
    }),
    ...(chance.below(12) === 0 && { constructor: chance.pick(ODD) }),
  };
  const text = JSON.stringify(policy);
  return chance.below(10) > 0 ? text : text.slice(0, chance.below(text.length));
}

const NETWORK_ROUTES = [
  ...['PUT /v1/sandboxes/s0/network', 'POST /v1/sandboxes', 'POST /v1/sandboxes/s0/network/check'],
  ...[
    'GET /v1/sandboxes/s0/network',
    'GET /v1/sandboxes/s0/network/log?follow=%00',
    'PUT /v1/sandboxes/%zz/network',
  ],
  ...[
    'GET /v1/sandboxes/s0/network/log',
    'DELETE /v1/sandboxes/s0/network',
    'POST /v1/sandboxes/s0/network/',
  ],
];

function networkRequest(chance: Seeded): string {
  const line = NETWORK_ROUTES[chance.below(chance.below(3) > 0 ? 3 : NETWORK_ROUTES.length)] ?? '';
  const policy = somePolicy(chance);
  const check = JSON.stringify({ host: chance.pick(TARGETS), port: chance.pick([80, 0, '80', 65_536]) });
  const body =
    line === 'POST /v1/sandboxes'
      ? `{"snapshot_tag":"base","network":${policy}}`
      : line.endsWith('check')
        ? check
        : policy;
  const length = `Content-Length: ${Buffer.byteLength(body)}`;
  const head = [
    `${line} HTTP/1.1`,
    'Host: localhost',
    'Connection: close',
    'Content-Type: application/json',
    length,
  ];
  if (chance.below(6) === 0) head.push(chance.pick(HEADERS));
  return `${head.join('\r\n')}\r\n\r\n${Buffer.from(body).toString('latin1')}`;
}

it('policies put together by chance are taken whole or refused, and leave nothing behind', async (test) => {
  const chance = Seeded.fromEnvironment();
  test.diagnostic(chance.name);
  const server = testServer();
  server.host.sandboxes.set('s0', aSandbox('s0', 'base'));
  const port = Number(new URL(await server.app.listen({ host: '127.0.0.1', port: 0 })).port);
  let taken = 0;
  try {
    for (let done = 0; done < REQUESTS; done += AT_A_TIME) {
      const texts = Array.from({ length: AT_A_TIME }, () => networkRequest(chance));
      const answers = await Promise.all(texts.map((text) => exchange(port, text)));
      texts.forEach((text, at) => {
        const answer = answers[at] ?? '';
        checkAnswer(text, answer);
        if (!text.startsWith('PUT ') || !answer.startsWith('HTTP/1.1 200')) return;
        const { policy } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as { policy: unknown };
        assert.deepEqual(networkPolicySchema.parse(policy), policy, text);
        taken++;
      });
    }
    await until(() => ['json', 'stream'].every((kind) => server.calls.count(kind as 'json') === 0));
    assert(taken > 0, 'chance made no policy that could be taken');
  } finally {
    await stopShell(server, 50);
  }
});
