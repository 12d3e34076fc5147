/** The audit log, over a host without VMs. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import type { BoughEvent } from '../../src/contract/index.js';
import { Audit } from '../../src/daemon/audit.js';
import { Keyring } from '../../src/daemon/auth/keyring.js';
import { digestOf } from '../../src/daemon/auth/token.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { until } from './rows-table.js';
import { testServer } from './support.js';

const keyring = new Keyring(
  undefined,
  (['read', 'exec', 'admin'] as const).map((scope) => ({
    ...{ name: `ci-${scope}`, scope, created_at_unix: 0 },
    sha256: digestOf(`the-${scope}-token`).toString('hex'),
  })),
);

describe('the audit log', () => {
  let dir = '';
  let path = '';
  let audit: Audit | undefined;
  let url = '';
  let toldCount = 0;
  let stop: () => Promise<void> = () => Promise.resolve();
  before(async () => (dir = await mkdtemp(join(tmpdir(), 'bough-audit-'))));
  after(() => rm(dir, { recursive: true }));
  afterEach(async () => {
    await stop();
    audit?.close();
  });

  const audited = async (name: string, script: Partial<Host> = {}): Promise<BoughEvent[]> => {
    path = join(dir, name);
    const server = testServer(script, { keyring });
    const seen: BoughEvent[] = [];
    audit = new Audit(path, server.events.emit, { maxBytes: 64 * 1024, kept: 1 });
    server.events.subscribe((event) => audit?.observe(event));
    server.events.subscribe((event) => seen.push(event));
    server.events.subscribe(({ name: told }) => (toldCount += Number(told === 'call.answered')));
    url = await server.app.listen({ host: '127.0.0.1', port: 0 });
    stop = () => stopShell(server, 50);
    return seen;
  };
  /** The status; the call has been told of then. */
  const ask = async (
    method: 'GET' | 'POST' | 'DELETE',
    at: string,
    body?: object,
    token = 'the-exec-token',
  ): Promise<number> => {
    const before = toldCount;
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await fetch(url + at, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    await answer.arrayBuffer();
    await until(() => toldCount > before);
    return answer.status;
  };
  const lines = async (): Promise<Record<string, unknown>[]> =>
    (await readFile(path, 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  it('has who did what to which, and how it ended; and no body', async () => {
    await audited('whole');
    const secret = 'not-for-any-log';
    assert.equal(
      await ask('POST', '/v1/sandboxes', { snapshot_tag: 'base', n: 2, env: { KEY: secret } }),
      201,
    );
    assert.equal(await ask('POST', '/v1/sandboxes/sandbox1/branch', { tag: 'taken' }), 201);
    assert.equal(await ask('POST', '/v1/sandboxes/sandbox1/fork', { count: 1, tag: 'forked' }), 201);
    assert.equal(await ask('POST', '/v1/sandboxes/sandbox1/exec', { args: ['echo', secret] }), 200);
    assert.equal(await ask('DELETE', '/v1/sandboxes/nowhere'), 404);
    assert.equal(await ask('DELETE', '/v1/snapshots/base'), 403);
    const told = await lines();
    const about = told.map(({ at, ms, request, outcome, ...rest }) => {
      assert.match(String(at), /^\d{4}-.*Z$/);
      assert.ok(Number(ms) >= 0 && String(request).length === 16 && outcome === 'answered');
      return rest;
    });
    const who = 'ci-exec';
    const [spawn, sandbox] = ['POST /v1/sandboxes', 'sandbox1'];
    assert.deepEqual(about, [
      { who, call: spawn, made: ['sandbox1', 'sandbox2'], status: 201 },
      { who, call: `${spawn}/:id/branch`, sandbox, made: ['taken'], status: 201 },
      { who, call: `${spawn}/:id/fork`, sandbox, made: ['forked', 'sandbox3'], status: 201 },
      { who, call: `${spawn}/:id/exec`, sandbox, status: 200 },
      { who, call: 'DELETE /v1/sandboxes/:id', sandbox: 'nowhere', status: 404 },
      { who, call: 'DELETE /v1/snapshots/:tag', snapshot: 'base', status: 403 },
    ]);
    assert.ok(!(await readFile(path, 'utf8')).includes(secret));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it('has nothing of what only looks, of strangers, and of what is no route', async () => {
    await audited('quiet');
    await ask('POST', '/v1/sandboxes', { snapshot_tag: 'base' });
    for (const at of ['/v1/sandboxes', '/metrics', '/healthz', '/v1/sandboxes/sandbox1/files?path=/x'])
      await ask('GET', at);
    await ask('POST', '/v1/sandboxes/sandbox1/network/check', { host: 'a.example', port: 1 });
    assert.equal(await ask('DELETE', '/v1/sandboxes/sandbox1', undefined, 'nobodys'), 401);
    assert.equal(await ask('POST', '/v1/nothing'), 404);
    assert.equal(await ask('GET', '/s/sandbox1/p/1/'), 502);
    assert.equal(await ask('POST', '/s/sandbox1/p/1/x?token=y'), 502);
    const told = (await lines()).map(({ call, sandbox, port, status }) => [call, sandbox, port, status]);
    assert.deepEqual(told, [
      ['POST /v1/sandboxes', undefined, undefined, 201],
      ['POST /s/:id/p/:port/*', 'sandbox1', '1', 502],
    ]);
  });

  it('names what was taken in from elsewhere, and not what was not', async () => {
    await audited('imported');
    for (const [query, status] of [
      ['', 403],
      ['?allow_unsigned=true', 204],
    ] as const) {
      const before = toldCount;
      const headers = { authorization: 'Bearer the-admin-token' };
      const answer = await fetch(`${url}/v1/snapshots/import${query}`, {
        method: 'POST',
        headers,
        body: 'foreign\n',
      });
      assert.equal(answer.status, status, await answer.text());
      await until(() => toldCount > before);
    }
    assert.deepEqual(
      (await lines()).map(({ who, made }) => [who, made]),
      [
        ['ci-admin', undefined],
        ['ci-admin', ['foreign']],
      ],
    );
  });

  it('names those that a selector has removed', async () => {
    await audited('removed');
    await ask('POST', '/v1/sandboxes', { snapshot_tag: 'base', metadata: { of: 'ci' } });
    assert.equal(await ask('DELETE', '/v1/sandboxes?selector=of=ci'), 200);
    assert.deepEqual((await lines()).at(-1)?.['removed'], ['sandbox1']);
  });

  it('keeps no call from being made when it cannot be written, tells so once, and then how much is missing', async () => {
    const seen = await audited('missing/log');
    const spawn = () => ask('POST', '/v1/sandboxes', { snapshot_tag: 'base' });
    const told = (): string[] => seen.map(({ name }) => name).filter((name) => name.startsWith('audit.'));
    for (let i = 0; i < 3; i++) assert.equal(await spawn(), 201);
    assert.deepEqual(told(), ['audit.not-written']);
    await mkdir(join(dir, 'missing'));
    assert.equal(await spawn(), 201);
    assert.deepEqual(told(), ['audit.not-written', 'audit.written-again']);
    const [lost, then] = await lines();
    assert.deepEqual([lost?.['lost'], then?.['made']], [3, ['sandbox4']]);
  });
});
