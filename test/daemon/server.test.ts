import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compact } from '../../src/base/index.js';
import { BoughError } from '../../src/contract/index.js';
import { openApiDocument } from '../../src/daemon/openapi.js';
import type { CallContext } from '../../src/sandbox/host/call.js';
import type { Host } from '../../src/sandbox/host/host.js';
import type { RequestKey } from '../../src/store/index.js';
import { aSnapshot } from '../support/fake-host.js';
import { testServer, token } from './support.js';

interface Answer {
  error?: string;
  code?: string;
  details?: Record<string, unknown>;
  [field: string]: unknown;
}

type Method = 'GET' | 'POST' | 'DELETE' | 'PUT' | 'OPTIONS' | 'PATCH';

async function ask(
  server: ReturnType<typeof testServer>,
  method: Method,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  const reply = await server.app.inject({
    method,
    url,
    headers: {
      host: 'localhost',
      ...(typeof body === 'string' ? { 'content-type': 'application/json' } : {}),
      ...headers,
    },
    ...compact({ payload: body as object }),
  });
  const json: Answer = reply.body === '' ? {} : reply.json<Answer>();
  return { status: reply.statusCode, json, headers: reply.headers, text: reply.body };
}

describe('routes', () => {
  it('answer health and version', async () => {
    const server = testServer();
    assert.deepEqual((await ask(server, 'GET', '/healthz')).json, { ok: true });
    const version = await ask(server, 'GET', '/version');
    assert.equal(version.json['api'], 'v1');
    assert.match(String(version.json['version']), /^\d+\.\d+\.\d+/);
  });

  it('describe themselves, whole', async () => {
    const { status, json } = await ask(testServer(), 'GET', '/openapi.json');
    assert.equal(status, 200);
    assert.deepEqual(json, JSON.parse(JSON.stringify(openApiDocument())));
  });

  it('create, read and delete snapshots', async () => {
    const server = testServer();
    const made = await ask(server, 'POST', '/v1/snapshots', { tag: 'new', image: 'python' });
    assert.equal(made.status, 201);
    assert.equal(made.json['tag'], 'new');
    assert.equal((await ask(server, 'GET', '/v1/snapshots/new/info')).json['chain_depth'], 0);
    assert.equal((await ask(server, 'POST', '/v1/snapshots/new/compact', { to: 'flat' })).status, 200);
    const gone = await ask(server, 'DELETE', '/v1/snapshots/new');
    assert.equal(gone.status, 204);
    assert.equal(gone.text, '');
    assert.equal((await ask(server, 'GET', '/v1/snapshots/new')).json.code, 'snapshot_not_found');
  });

  it('answer an existing tag with 400 on create and 409 on compact', async () => {
    const server = testServer();
    const create = await ask(server, 'POST', '/v1/snapshots', { tag: 'base', image: 'python' });
    assert.deepEqual([create.status, create.json.code], [400, 'tag_exists']);
    server.host.snapshots.set('other', aSnapshot('other'));
    const compact = await ask(server, 'POST', '/v1/snapshots/base/compact', { to: 'other' });
    assert.deepEqual([compact.status, compact.json.code], [409, 'tag_exists']);
    const same = await ask(server, 'POST', '/v1/snapshots/base/compact', { to: 'base' });
    assert.deepEqual([same.status, same.json.details?.['field']], [400, 'to']);
  });

  it('spawn an array, also for one', async () => {
    const server = testServer();
    const one = await ask(server, 'POST', '/v1/sandboxes', { snapshot_tag: 'base' });
    assert.equal(one.status, 201);
    assert.equal((one.json as unknown as unknown[]).length, 1);
    assert.equal((await ask(server, 'GET', '/v1/sandboxes/sandbox1')).status, 200);
    assert.equal((await ask(server, 'DELETE', '/v1/sandboxes/sandbox1')).status, 204);
    assert.equal((await ask(server, 'DELETE', '/v1/sandboxes/sandbox1')).status, 404);
  });

  it('take null fields as absent', async () => {
    let seen: Parameters<Host['spawn']>[0] | undefined;
    const server = testServer({
      spawn: (request) => {
        seen = request;
        return Promise.resolve([]);
      },
    });
    const body = { snapshot_tag: 'base', n: null, memory_limit_mib: null, name: null };
    assert.equal((await ask(server, 'POST', '/v1/sandboxes', body)).status, 201);
    assert.deepEqual(seen, { snapshotTag: 'base', count: 1, lifetime: {} });
  });

  it('hand on the key of a request that makes something, and what it was sent with', async () => {
    const keys: (RequestKey | undefined)[] = [];
    const server = testServer({
      spawn: (_request, call) => {
        keys.push(call.key);
        return Promise.resolve([]);
      },
    });
    const spawn = (body: object, key?: string) =>
      ask(server, 'POST', '/v1/sandboxes', body, key === undefined ? {} : { 'idempotency-key': key });
    await spawn({ snapshot_tag: 'base' });
    await spawn({ snapshot_tag: 'base' }, 'one');
    await spawn({ n: 1, unknown: true, snapshot_tag: 'base', name: null }, 'one');
    await spawn({ snapshot_tag: 'base', n: 2 }, 'one');
    await spawn({ snapshot_tag: 'base' }, 'two');
    const [none, first, same, other, second] = keys;
    assert.equal(none, undefined);
    assert.deepEqual(same, first);
    assert.equal(other?.keySha256, first?.keySha256);
    assert.notEqual(other?.requestSha256, first?.requestSha256);
    assert.notEqual(second?.keySha256, first?.keySha256);
    assert.equal(second?.requestSha256, first?.requestSha256);

    for (const bad of ['', 'two words', 'a'.repeat(256), 'caf\u00e9']) {
      const { status, json } = await spawn({ snapshot_tag: 'base' }, bad);
      assert.deepEqual([status, json.details?.['field']], [400, 'idempotency-key'], bad);
    }
    assert.equal(keys.length, 5);
    const exec = { 'idempotency-key': 'two words' };
    assert.equal((await ask(server, 'GET', '/v1/sandboxes', undefined, exec)).status, 200);
  });

  it('exec answers what a program printed, as it printed it, and what is missing of it', async () => {
    const exec: Host['exec'] = (_id, { onOutput }) => {
      const text = Buffer.from('grün "1"\n');
      onOutput?.('stdout', text.subarray(0, 3));
      onOutput?.('stderr', Buffer.alloc((16 << 20) + 3, 'x'));
      onOutput?.('stdout', text.subarray(3));
      return Promise.resolve({ stdout: '', stderr: '', exitCode: 9, truncated: false });
    };
    const server = testServer({ exec });
    const answer = await ask(server, 'POST', '/v1/sandboxes/abc/exec', { args: ['x'] });
    assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
    const { stderr, ...rest } = answer.json as { stderr: string };
    assert.deepEqual(rest, { stdout: 'grün "1"\n', exit_code: 9, truncated: true });
    assert.match(stderr.slice(-40), /^x+\n\[bough: 3 more bytes left out\]\n$/);
  });

  it('exec, eval and ping', async () => {
    const server = testServer();
    await ask(server, 'POST', '/v1/sandboxes', { snapshot_tag: 'base' });
    const exec = await ask(server, 'POST', '/v1/sandboxes/sandbox1/exec', { args: ['echo', 'a'] });
    assert.deepEqual(exec.json, { stdout: 'echo a\n', stderr: '', exit_code: 0, truncated: false });
    const result = await ask(server, 'POST', '/v1/sandboxes/sandbox1/eval', { code: '1' });
    assert.deepEqual(result.json, {
      ...{ result: '1', error: null, exit_code: 0, stdout: '', stderr: '', truncated: false },
    });
    const pong = (await ask(server, 'POST', '/v1/sandboxes/sandbox1/ping')).json;
    assert.deepEqual(pong, { pong: true, interpreter: 'ready', uptimeSecs: 1 });
  });

  it('branch with 201, and with 202 for wait:false', async () => {
    const server = testServer();
    await ask(server, 'POST', '/v1/sandboxes', { snapshot_tag: 'base' });
    const waited = await ask(server, 'POST', '/v1/sandboxes/sandbox1/branch');
    const { mode, pause_ms: pauseMs, stopped_ms: stoppedMs } = waited.json;
    assert.deepEqual([waited.status, mode, pauseMs, stoppedMs], [201, 'live', 1.25, 0.75]);
    const accepted = await ask(server, 'POST', '/v1/sandboxes/sandbox1/branch', { wait: false, tag: 'b2' });
    assert.deepEqual([accepted.status, accepted.json['status']], [202, 'writing']);
    const again = await ask(server, 'POST', '/v1/sandboxes/sandbox1/branch', { tag: 'b2' });
    assert.deepEqual([again.status, again.json.code], [409, 'tag_exists']);
    const metrics = await server.app.inject({ url: '/metrics', headers: { host: 'localhost' } });
    assert.match(metrics.body, /^bough_warm_vmms 0$/m);
    assert.match(metrics.body, /bough_sandboxes\{state="running"\} 1/);
    assert.match(String(metrics.headers['content-type']), /^text\/plain/);
  });

  it('count a branch that nobody asked for over the port, as its event tells', async () => {
    const server = testServer();
    const facts = { id: 'sb1', tag: 'end', requestId: 'daemon', principal: 'daemon' };
    server.events.emit('sandbox.branched', { ...facts, mode: 'live', pauseMs: 1.25, durationMs: 40 });
    const { body } = await server.app.inject({ url: '/metrics', headers: { host: 'localhost' } });
    assert.match(body, /bough_branch_pause_seconds_sum\{mode="live"\} 0\.00125/);
    assert.match(body, /bough_branch_duration_seconds_count\{mode="live"\} 1/);
  });

  it('fork', async () => {
    const server = testServer();
    await ask(server, 'POST', '/v1/sandboxes', { snapshot_tag: 'base' });
    const fork = await ask(server, 'POST', '/v1/sandboxes/sandbox1/fork', { count: 3, tag: 'f' });
    assert.equal(fork.status, 201);
    assert.equal((fork.json['children'] as unknown[]).length, 3);
  });

  it('refuse both delete flags', async () => {
    const reply = await ask(testServer(), 'DELETE', '/v1/snapshots/base?cascade&force');
    assert.deepEqual([reply.status, reply.json.details?.['field']], [400, 'force']);
  });
});

describe('a JSON content type', () => {
  for (const [method, url, status] of [
    ['GET', '/v1/snapshots', 200],
    ['POST', '/v1/sandboxes/sandbox1/ping', 200],
    ['POST', '/v1/sandboxes/sandbox1/branch', 201],
    ['DELETE', '/v1/sandboxes/sandbox1', 204],
  ] as const) {
    it(`with an empty body is no body: ${method} ${url}`, async () => {
      const server = testServer();
      await ask(server, 'POST', '/v1/sandboxes', { snapshot_tag: 'base' });
      assert.equal((await ask(server, method, url, '')).status, status);
    });
  }
});

describe('failures', () => {
  const cases: [string, Method, string, unknown, number, string][] = [
    ['malformed JSON', 'POST', '/v1/sandboxes', '{"a":', 400, 'malformed_json'],
    ['a prototype in JSON', 'POST', '/v1/sandboxes', '{"__proto__":{"a":1}}', 400, 'malformed_json'],
    ['an array as body', 'POST', '/v1/sandboxes', '[]', 400, 'invalid_request'],
    ['a string as body', 'POST', '/v1/sandboxes', '"x"', 400, 'invalid_request'],
    ['null as body', 'POST', '/v1/sandboxes', 'null', 400, 'invalid_request'],
    [
      'a number too large',
      'POST',
      '/v1/sandboxes',
      '{"snapshot_tag":"base","n":1e999}',
      400,
      'invalid_request',
    ],
    ['an unknown route', 'GET', '/v2/nothing', undefined, 404, 'route_not_found'],
    ['an unknown route with a body', 'POST', '/nothing', { a: 1 }, 404, 'route_not_found'],
    ['a wrong method', 'PUT', '/v1/snapshots', undefined, 405, 'method_not_allowed'],
    ['a wrong method below an id', 'GET', '/v1/sandboxes/x/exec', undefined, 405, 'method_not_allowed'],
    ['OPTIONS', 'OPTIONS', '/v1/snapshots', undefined, 405, 'method_not_allowed'],
    ['an oversize body', 'POST', '/v1/sandboxes', `"${'x'.repeat(1_100_000)}"`, 413, 'payload_too_large'],
    ['NUL in a tag', 'GET', '/v1/snapshots/a%00b', undefined, 400, 'invalid_request'],
    ['NUL in an id', 'GET', '/v1/sandboxes/a%00b', undefined, 404, 'sandbox_not_found'],
    ['a broken escape', 'GET', '/v1/snapshots/%zz', undefined, 400, 'malformed_http'],
    ['an id of another form', 'DELETE', '/v1/sandboxes/..%2fx', undefined, 404, 'sandbox_not_found'],
    ['a flag that is none', 'DELETE', '/v1/snapshots/base?force=maybe', undefined, 400, 'invalid_request'],
  ];
  for (const [what, method, url, body, status, code] of cases) {
    it(`${what} is ${status} ${code}`, async () => {
      const reply = await ask(testServer(), method, url, body);
      assert.deepEqual([reply.status, reply.json.code], [status, code], reply.text);
      assert.equal(typeof reply.json.error, 'string');
      assert.match(String(reply.headers['x-request-id']), /^[0-9a-f]{16}$/);
    });
  }

  it('a very long id is an error with a body, never a 500', async () => {
    const reply = await ask(testServer(), 'GET', `/v1/sandboxes/${'a'.repeat(4000)}`);
    assert.ok(reply.status >= 400 && reply.status < 500, String(reply.status));
    assert.equal(typeof reply.json.error, 'string');
  });

  it('a body of another type is 415', async () => {
    const reply = await ask(testServer(), 'POST', '/v1/sandboxes', 'a=b', { 'content-type': 'text/plain' });
    assert.deepEqual([reply.status, reply.json.code], [415, 'unsupported_media_type']);
  });

  it('name the field that is wrong', async () => {
    const server = testServer();
    const field = async (url: string, body: unknown) => (await ask(server, 'POST', url, body)).json;
    const missing = await field('/v1/sandboxes', {});
    assert.equal(missing.error, 'Invalid request: "snapshot_tag" is required');
    assert.equal((await field('/v1/sandboxes', { snapshot_tag: 'base', n: 'x' })).details?.['field'], 'n');
    const exec = await field('/v1/sandboxes/a/exec', { args: ['x', 1] });
    assert.equal(exec.details?.['field'], 'args.1');
    assert.match(String(exec.error), /args\.1/);
  });

  it('name the methods a path accepts', async () => {
    const reply = await ask(testServer(), 'PATCH', '/v1/snapshots/base');
    assert.deepEqual(reply.headers.allow, 'GET, HEAD, DELETE');
  });

  it('keep the reason of an unexpected one to the log', async () => {
    const server = testServer({ listSnapshots: () => Promise.reject(new Error('/secret/path')) });
    const reply = await ask(server, 'GET', '/v1/snapshots');
    assert.deepEqual([reply.status, reply.json.code], [500, 'internal']);
    assert.doesNotMatch(reply.text, /secret/);
    assert.equal(reply.json.details?.['request_id'], reply.headers['x-request-id']);
  });

  it('for want of file descriptors ask to retry', async () => {
    const cause = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
    const server = testServer({ listSnapshots: () => Promise.reject(new Error('no', { cause })) });
    const reply = await ask(server, 'GET', '/v1/snapshots');
    assert.deepEqual([reply.status, reply.json.code], [503, 'too_many_open_files']);
    assert.ok(Number(reply.headers['retry-after']) > 0);
  });

  it('of the host keep their status and ask to retry where that helps', async () => {
    const server = testServer({
      branch: () => Promise.reject(new BoughError('too_many_branches', { limit: 4 })),
    });
    const reply = await ask(server, 'POST', '/v1/sandboxes/a/branch', {});
    assert.deepEqual([reply.status, reply.json.details], [503, { limit: 4 }]);
    assert.ok(Number(reply.headers['retry-after']) > 0);
  });
});

describe('with a token', () => {
  const server = testServer({}, { token });
  const withToken = (value: string) => ({ authorization: value });

  it('only healthz is open', async () => {
    assert.equal((await ask(server, 'GET', '/healthz')).status, 200);
    for (const path of [
      '/version',
      '/metrics',
      '/openapi.json',
      '/v1/snapshots',
      '/nothing',
      '/v1/snapshots/%2e%2e',
    ]) {
      const reply = await ask(server, 'GET', path);
      assert.deepEqual([reply.status, reply.json.code], [401, 'unauthorized'], path);
    }
  });

  it('accepts the right one and no other', async () => {
    assert.equal((await ask(server, 'GET', '/version', undefined, withToken(`Bearer ${token}`))).status, 200);
    assert.equal((await ask(server, 'GET', '/version', undefined, withToken(`bearer ${token}`))).status, 200);
    for (const wrong of [
      '',
      'Bearer',
      'Bearer ',
      `Bearer ${token}x`,
      `Bearer ${token.slice(1)}`,
      `Basic ${token}`,
      token,
    ]) {
      assert.equal((await ask(server, 'GET', '/version', undefined, withToken(wrong))).status, 401, wrong);
    }
  });

  it('tells the host who asks, and under which name', async () => {
    const calls: CallContext[] = [];
    const listSnapshots: Host['listSnapshots'] = (call) => {
      calls.push(call);
      return Promise.resolve([]);
    };
    const withOne = testServer({ listSnapshots }, { token });
    const named = await ask(withOne, 'GET', '/v1/snapshots', undefined, withToken(`Bearer ${token}`));
    await ask(testServer({ listSnapshots }), 'GET', '/v1/snapshots');
    assert.deepEqual(
      calls.map(({ principal }) => principal),
      ['token', 'anonymous'],
    );
    assert.equal(calls[0]?.requestId, named.headers['x-request-id']);
  });

  it('checks it before it reads or validates the body', async () => {
    assert.equal((await ask(server, 'POST', '/v1/sandboxes', '{"broken')).status, 401);
    assert.equal((await ask(server, 'PUT', '/v1/sandboxes')).status, 401);
  });
});

describe('the Host header', () => {
  const statusFor = async (host: string, listenHost?: string) => {
    const server = testServer({}, listenHost === undefined ? {} : { listenHost });
    return (await ask(server, 'GET', '/version', undefined, { host })).status;
  };

  it('must name this machine on loopback', async () => {
    for (const host of ['localhost', 'LOCALHOST:8889', '127.0.0.1:1', '[::1]:8889'])
      assert.equal(await statusFor(host), 200);
    for (const host of [
      'evil.example',
      'localhost.evil.example:80',
      '127.0.0.1.evil.example',
      '169.254.169.254',
    ]) {
      assert.equal(await statusFor(host), 403, host);
    }
  });

  it('may be any on another address', async () => {
    assert.equal(await statusFor('boughs.example:8889', '0.0.0.0'), 200);
  });
});
