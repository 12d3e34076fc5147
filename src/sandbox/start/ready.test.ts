/** Each kind of check against the agent itself, run as a process of this host: its ports are this host's. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { claimed, startRealAgent, type RealAgent } from '../../../test/support/real-agent.js';
import { limitMs } from '../../../test/support/time-limit.js';
import type { AgentClient } from '../../agent/index.js';
import type { ReadyCheck } from '../../contract/index.js';
import { look } from './ready.js';
import { ServiceLog } from './service-log.js';

async function portOf(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

describe('look()', { timeout: 60_000 }, () => {
  let agent: RealAgent;
  let client: AgentClient;
  before(async () => {
    agent = await startRealAgent(null);
    client = await claimed(agent);
  });
  after(() => agent.close());

  const seen = (check: ReadyCheck, log = new ServiceLog(), timeoutMs = limitMs(5000)) =>
    look(check, { agent: client, log, timeoutMs, signal: new AbortController().signal });

  it('tcp: ready is what accepts', async (t) => {
    const server = createTcpServer((socket) => socket.on('error', () => undefined));
    const port = await portOf(t, server);
    assert.equal(await seen({ kind: 'tcp', port }), undefined);
    server.close();
    assert.match((await seen({ kind: 'tcp', port })) ?? '', /^nothing listens on port \d+$/);
  });

  it('http: ready is what answers with success, or with where to go on', async (t) => {
    const asked: string[] = [];
    const server = createServer(({ url = '', headers }, response) => {
      asked.push(`${headers.host ?? ''}${url}`);
      response.writeHead(Number(url.slice(1)) || 200).end('x');
    });
    const port = await portOf(t, server);
    const check = { kind: 'http', port } as const;
    assert.equal(await seen({ ...check, path: '/' }), undefined);
    assert.equal(await seen({ ...check, path: '/204' }), undefined);
    assert.equal(await seen({ ...check, path: '/302' }), undefined);
    assert.equal(await seen({ ...check, path: '/404' }), 'it answered with 404');
    assert.equal(await seen({ ...check, path: '/503' }), 'it answered with 503');
    assert.equal(asked[0], `localhost:${port}/`);
  });

  it('http: not ready is what accepts and says something else, nothing, or hangs up', async (t) => {
    const upgrade = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n';
    const answers = { noise: 'SSH-2.0-x\r\n', nothing: '', silence: undefined, upgrade };
    for (const [name, answer] of Object.entries(answers)) {
      const server = createTcpServer((socket) => {
        socket.on('error', () => undefined);
        if (answer === undefined) setTimeout(() => socket.destroy(), 10_000).unref();
        else socket.end(answer);
      });
      const port = await portOf(t, server);
      const problem = await seen({ kind: 'http', port, path: '/' }, undefined, 500);
      assert.match(problem ?? '', /^it did not answer: /, name);
    }
  });

  it('file: ready is what is there', async () => {
    const path = join(agent.dir, 'up');
    assert.equal(await seen({ kind: 'file', path }), `${path}: No such file or directory`);
    await writeFile(path, '');
    assert.equal(await seen({ kind: 'file', path }), undefined);
    await mkdir(join(agent.dir, 'folder'));
    assert.equal(await seen({ kind: 'file', path: join(agent.dir, 'folder') }), undefined);
  });

  it('exec: ready is what ends with 0, in time', async () => {
    const line = (text: string) => seen({ kind: 'exec', args: ['/bin/sh', '-c', text] });
    assert.equal(await line('true'), undefined);
    assert.equal(await line('echo starting up >&2; exit 2'), 'exit code 2: starting up');
    assert.equal(await line('echo only this; exit 1'), 'exit code 1: only this');
    assert.equal(await seen({ kind: 'exec', args: ['absent'] }), 'exit code 127: bough: absent: not found');
    const slow = await seen({ kind: 'exec', args: ['sleep', '60'] }, undefined, 200);
    assert.match(slow ?? '', /did not finish exec within 200 ms/);
  });

  it('log: ready is what has printed it', async () => {
    const log = new ServiceLog('accept');
    assert.equal(await seen({ kind: 'log', pattern: 'accept' }, log), 'no line of its output was that');
    log.add('stderr', Buffer.from('ready to accept\n'));
    assert.equal(await seen({ kind: 'log', pattern: 'accept' }, log), undefined);
  });

  it('throws when nobody waits any more', async () => {
    const reason = new Error('gave up');
    const how = { agent: client, log: new ServiceLog(), timeoutMs: 1000, signal: AbortSignal.abort(reason) };
    await assert.rejects(look({ kind: 'tcp', port: 1 }, how), reason);
  });
});
