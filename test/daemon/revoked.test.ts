/** What is open for a token when that is taken back: a daemon over a host without VMs, and its tokens file. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { Events, type BoughEvent } from '../../src/contract/index.js';
import { addToken, removeToken } from '../../src/daemon/auth/tokens-file.js';
import { loadConfig } from '../../src/daemon/config.js';
import { serve, type Daemon } from '../../src/daemon/serve.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { fakeHost } from '../support/fake-host.js';
import { until } from './rows-table.js';
import { silent } from './support.js';

/** Programs that print a line and end when nobody waits for them any more. */
const endless: Partial<Host> = {
  exec: async (_id, _request, { signal }) => {
    await once(signal, 'abort');
    throw signal.reason as Error;
  },
  execStream: async function* (_id, _request, { signal }) {
    yield { type: 'stdout', bytes: Buffer.from('there\n') };
    await once(signal, 'abort');
    throw signal.reason as Error;
  },
};

describe('a token that is taken back', () => {
  let dir = '';
  let tokens = '';
  let daemon: Daemon;
  let told: BoughEvent[] = [];
  let echo: Server;
  let port = 0;

  before(async () => {
    echo = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
    echo.listen(0, '127.0.0.1');
    await once(echo, 'listening');
    ({ port } = echo.address() as AddressInfo);
  });
  after(() => void echo.close());
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-revoked-'));
    tokens = join(dir, 'tokens.json');
  });
  afterEach(async () => {
    await daemon.close();
    await rm(dir, { recursive: true });
  });

  const start = async (): Promise<void> => {
    const events = new Events();
    told = [];
    events.subscribe((event) => void told.push(event));
    const host = fakeHost(endless);
    await host.spawn({ snapshotTag: 'base', count: 1 }, ownCall());
    const config = loadConfig({ listen: '127.0.0.1:0', stateDir: dir }, {});
    daemon = await serve(config, host, { log: silent, events, drainMs: 20 });
  };
  /** Resolves when the daemon has seen what became of the file. */
  const looked = async (): Promise<void> => {
    const count = (): number => told.filter(({ name }) => name === 'tokens.reloaded').length;
    const before = count();
    process.emit('SIGHUP');
    await until(() => count() > before);
  };
  const headersOf = (token?: string): Record<string, string> =>
    token === undefined ? {} : { authorization: `Bearer ${token}` };
  const exec = (token?: string, accept = 'application/json'): Promise<Response> =>
    fetch(`${daemon.address}/v1/sandboxes/sandbox1/exec`, {
      method: 'POST',
      headers: { ...headersOf(token), 'content-type': 'application/json', accept },
      body: '{"args":["sleep"]}',
    });
  const socketOf = async (token?: string): Promise<WebSocket> => {
    const url = `${daemon.address.replace('http', 'ws')}/v1/sandboxes/sandbox1/ports/${port}`;
    const socket = new WebSocket(url, { headers: headersOf(token) });
    await once(socket, 'open');
    return socket;
  };
  const echoed = async (socket: WebSocket): Promise<string> => {
    socket.send(Buffer.from('still here'));
    return String(((await once(socket, 'message')) as [Buffer])[0]);
  };
  const endOf = (socket: WebSocket): Promise<unknown[]> =>
    new Promise((resolve) => socket.once('close', (code, reason) => resolve([code, reason.toString()])));
  const codeOf = async (response: Response): Promise<unknown[]> => [
    response.status,
    ((await response.json()) as { code: unknown }).code,
  ];
  const calls = (): number => daemon.server.calls.count('json') + daemon.server.calls.count('socket');
  const outcomes = (): string[] =>
    told.flatMap(({ name, facts }) =>
      name === 'call.answered' ? [`${facts.principal} ${facts.outcome}`] : [],
    );

  it('ends all that it has open, each with the reason, and nothing of others', async () => {
    await addToken(tokens, 'other', 'exec');
    const ci = await addToken(tokens, 'ci', 'exec');
    const other = await addToken(tokens, 'third', 'exec');
    await start();
    const plain = exec(ci);
    const streamed = await exec(ci, 'application/x-ndjson');
    const events = await fetch(`${daemon.address}/v1/events`, { headers: headersOf(ci) });
    const [socket, kept] = [await socketOf(ci), await socketOf(other)];
    assert.equal(await echoed(socket), 'still here');
    await until(() => calls() === 4);

    const end = endOf(socket);
    await removeToken(tokens, 'ci');
    await looked();
    assert.deepEqual(await codeOf(await plain), [401, 'token_revoked']);
    const lines = (await streamed.text()).trim().split('\n');
    const last = JSON.parse(lines.at(-1) ?? '') as { type: string; code: string };
    assert.deepEqual([lines.length, last.type, last.code], [2, 'error', 'token_revoked']);
    assert.deepEqual(await end, [1011, 'token_revoked']);
    await events.text();
    assert.deepEqual(await codeOf(await exec(ci)), [401, 'unauthorized']);

    assert.equal(await echoed(kept), 'still here');
    kept.close();
    await until(() => outcomes().length === 6);
    assert.deepEqual(outcomes().sort(), [
      'anonymous answered',
      ...Array.from({ length: 4 }, () => 'ci revoked'),
      'third left',
    ]);
  });

  it('cuts what it reads from ports of guests over HTTP', async () => {
    const ci = await addToken(tokens, 'ci', 'exec');
    await start();
    const web = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome');
    });
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    const url = `${daemon.address}/s/sandbox1/p/${(web.address() as AddressInfo).port}/`;
    const answer = await fetch(url, { headers: headersOf(ci) });
    const cut = assert.rejects(answer.text());
    await removeToken(tokens, 'ci');
    await looked();
    await cut;
    web.close();
  });

  it('is as the first one that is made, to callers without any', async () => {
    await start();
    const end = endOf(await socketOf());
    await addToken(tokens, 'ci', 'exec');
    await looked();
    assert.deepEqual(await end, [1011, 'token_revoked']);
  });
});
