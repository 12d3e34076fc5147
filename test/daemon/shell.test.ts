/** APIs beside each other: each with its own guard, parser and shape of failures, and none in another's way. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'node:test';
import { BoughError, Events } from '../../src/contract/index.js';
import { buildShell, type Api, type Shell } from '../../src/daemon/shell/shell.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import { nativeApi } from '../../src/daemon/v1/plugin.js';
import { keyringOf, silent, token } from './support.js';

const row = { summary: '', scope: 'read', resource: 'daemon', errors: [] } as const;

/** Its callers are told in another header, its bodies are lines, and its failures are numbered. */
const other: Api = {
  prefixes: ['/lines', '/pages'],
  refusal: (failure) => ({
    status: failure.status,
    body: { code: failure.status, message: failure.message },
  }),
  register: (app) => {
    app.addHook('onRequest', ({ headers }, _reply, done) =>
      done(headers['x-key'] === 'right' ? undefined : new BoughError('unauthorized')),
    );
    app.addContentTypeParser('text/lines', { parseAs: 'string' }, (_request, text, done) =>
      done(null, (text as string).split('\n')),
    );
    app.post('/lines/count', ({ body }) => Promise.resolve({ lines: (body as string[]).length }));
    app.get('/pages/broken', async () => Promise.reject(new Error('/secret/path')));
  },
};

it('a shell loads no compiler of JSON schemas', () => {
  buildShell({ log: silent, events: new Events(), apis: [other] });
  const { cache } = createRequire(import.meta.url);
  assert.deepEqual(
    Object.keys(cache).filter((path) => path.includes('/node_modules/ajv/')),
    [],
  );
});

describe('two APIs on one shell', () => {
  let shell: Shell;

  before(async () => {
    const listen = { host: '127.0.0.1', port: 0, isLoopback: true };
    const table = {
      one: { ...row, kind: 'json', method: 'POST', path: '/v1/one', replies: { 204: null } },
    } as const;
    const native = nativeApi({
      table,
      handlers: { one: () => undefined },
      listen,
      keyring: keyringOf(token),
      allowedOrigins: new Set<string>(),
    });
    shell = buildShell({ log: silent, events: new Events(), apis: [native, other] });
    await shell.app.ready();
  });
  after(async () => stopShell(shell, 10));

  async function ask(method: 'GET' | 'POST' | 'PUT', url: string, type?: string, payload?: string) {
    const headers = {
      ...{ host: 'localhost', 'x-key': 'right', authorization: `Bearer ${token}` },
      ...(type === undefined ? {} : { 'content-type': type }),
    };
    const { statusCode, body } = await shell.app.inject({
      method,
      url,
      headers,
      ...(payload && { payload }),
    });
    return {
      status: statusCode,
      body: body === '' ? undefined : (JSON.parse(body) as Record<string, unknown>),
    };
  }

  it('answer what is theirs', async () => {
    assert.deepEqual(await ask('POST', '/lines/count', 'text/lines', 'a\nb'), {
      status: 200,
      body: { lines: 2 },
    });
    assert.deepEqual(await ask('POST', '/v1/one', 'application/json', '{}'), {
      status: 204,
      body: undefined,
    });
  });

  it('know their own callers only', async () => {
    const status = async (url: string, headers: Record<string, string>) =>
      (await shell.app.inject({ method: 'POST', url, headers: { host: 'localhost', ...headers } }))
        .statusCode;
    assert.equal(await status('/lines/nothing', { authorization: `Bearer ${token}` }), 401);
    assert.equal(await status('/v1/nothing', { 'x-key': 'right' }), 401);
    assert.equal(await status('/v1/one', { 'x-key': 'right' }), 401);
    // The other one has no opinion on names.
    assert.equal(await status('/pages/nothing', { host: 'evil.example', 'x-key': 'right' }), 404);
    assert.equal(await status('/v1/nothing', { host: 'evil.example' }), 403);
  });

  for (const [what, method, path, type, payload, status] of [
    ['an unknown path', 'GET', '/nothing', undefined, undefined, 404],
    ['a path that cannot be decoded', 'GET', '/%zz', undefined, undefined, 400],
    ['malformed JSON', 'POST', '/nothing', 'application/json', '{"a":', 400],
    ['a body that is too large', 'POST', '/nothing', 'application/json', 'x'.repeat(1_100_000), 413],
  ] as const) {
    it(`refuse ${what} each in its own shape`, async () => {
      for (const prefix of ['/lines', '/pages']) {
        const { body, ...answer } = await ask(method, prefix + path, type, payload);
        assert.equal(answer.status, status, prefix);
        assert.deepEqual([Object.keys(body ?? {}), body?.['code']], [['code', 'message'], status], prefix);
      }
      for (const prefix of ['/v1', '', '/linesand', '/page']) {
        const { body, ...answer } = await ask(method, prefix + path, type, payload);
        assert.equal(answer.status, status, prefix);
        assert.deepEqual([typeof body?.['error'], typeof body?.['code']], ['string', 'string'], prefix);
      }
    });
  }

  it('name the methods of their own routes', async () => {
    assert.match(String((await ask('PUT', '/lines/count')).body?.['message']), /it accepts POST$/);
    assert.match(String((await ask('PUT', '/v1/one')).body?.['error']), /it accepts POST$/);
  });

  it('keep the reason of an unexpected failure to the log', async () => {
    const { status, body } = await ask('GET', '/pages/broken');
    assert.equal(status, 500);
    assert.doesNotMatch(JSON.stringify(body), /secret/);
  });

  it('both say that the daemon stops', async () => {
    shell.refuseNewRequests();
    assert.equal((await ask('POST', '/lines/count')).body?.['code'], 503);
    assert.equal((await ask('POST', '/v1/one')).body?.['code'], 'shutting_down');
  });
});
