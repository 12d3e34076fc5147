/** What tokens of each scope may do, row by row of the route table. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { changes, routes, scopes, type RouteDefinition, type Scope } from '../../src/contract/index.js';
import { Keyring } from '../../src/daemon/auth/keyring.js';
import { digestOf } from '../../src/daemon/auth/token.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { fakeHost } from '../support/fake-host.js';
import { testServer, type TestServer } from './support.js';

const tokenOf = (scope: Scope): string => `token of somebody who may ${scope}`.replaceAll(' ', '-');
const keyring = new Keyring(
  undefined,
  scopes.map((scope) => ({
    ...{ name: `may-${scope}`, scope, created_at_unix: 0 },
    sha256: digestOf(tokenOf(scope)).toString('hex'),
  })),
);

const rows: readonly [string, RouteDefinition][] = Object.entries(routes);
const outsideGuests = new Set(['daemon', 'snapshots', 'sandboxes', 'secrets']);

function guarded(script: Partial<Host> = {}): TestServer {
  return testServer(script, { keyring });
}

async function ask(
  { app }: TestServer,
  scope: Scope,
  { method, path }: Pick<RouteDefinition, 'method' | 'path'>,
): Promise<{ status: number; code: unknown }> {
  const headers = { host: 'localhost', authorization: `Bearer ${tokenOf(scope)}` };
  const url = path.replace(/:port/, '80').replace(/:\w+/g, '1');
  const { statusCode, body } = await app.inject({ method, url, headers });
  // Streams of events have no end of their own; of those only who is refused is asked here.
  const code = statusCode >= 400 && body !== '' ? (JSON.parse(body) as { code?: unknown }).code : undefined;
  return { status: statusCode, code };
}

const isEndless = (route: RouteDefinition): boolean => route.kind === 'stream' && route.endless === true;

describe('every row of the route table', () => {
  it('has a scope', () => {
    for (const [name, { scope }] of rows) assert.ok(scopes.includes(scope), name);
  });

  it('of the scope `read` changes nothing and tells nothing of what is inside a guest', () => {
    const readable = rows.filter(([, { scope }]) => scope === 'read');
    const posting = readable.filter(([, { method }]) => method !== 'GET').map(([name]) => name);
    assert.deepEqual(posting, ['checkNetwork']);
    for (const [name, { resource, kind }] of readable) {
      assert.ok(outsideGuests.has(resource), name);
      assert.notEqual(kind, 'socket', name);
    }
    for (const [name, route] of rows)
      if (route.method !== 'GET' && route.method !== 'HEAD')
        assert.equal(changes(route), route.scope !== 'read', name);
  });

  it('refuses a token of a smaller scope, and asks the host nothing for it', async () => {
    const untouched = Object.fromEntries(
      Object.keys(fakeHost()).map((name) => [name, () => assert.fail(`${name} was called`)]),
    ) as Partial<Host>;
    const server = guarded(untouched);
    for (const [name, route] of rows)
      for (const scope of scopes.slice(0, scopes.indexOf(route.scope)))
        assert.deepEqual(
          await ask(server, scope, route),
          // To HEAD there is no body to say it in.
          { status: 403, code: route.method === 'HEAD' ? undefined : 'scope_missing' },
          name,
        );
  });

  it('lets a token of its scope through, and of a larger one', async () => {
    const server = guarded();
    for (const [name, route] of rows.filter(([, each]) => !isEndless(each)))
      for (const scope of scopes.slice(scopes.indexOf(route.scope)))
        assert.ok(![401, 403].includes((await ask(server, scope, route)).status), `${name} ${scope}`);
  });
});

describe('a token', () => {
  it('for `exec` removes no snapshot and makes none of files of the host', async () => {
    const server = guarded();
    for (const path of ['/v1/snapshots/base', '/v1/gc', '/v1/snapshots'] as const) {
      const method = path.endsWith('base') ? 'DELETE' : 'POST';
      assert.equal((await ask(server, 'exec', { method, path })).code, 'scope_missing');
    }
    assert.equal(server.host.snapshots.size, 1);
  });

  it('for `exec` is what reaches a port of a guest', async () => {
    const server = guarded();
    const port = { method: 'GET', path: '/s/nowhere/p/80/' } as const;
    assert.deepEqual(await ask(server, 'read', port), { status: 403, code: 'scope_missing' });
    assert.deepEqual(await ask(server, 'exec', port), { status: 404, code: 'sandbox_not_found' });
  });

  it('is told apart from no token, also where there is no route', async () => {
    const server = guarded();
    const headers = { host: 'localhost', authorization: 'Bearer nobodys' };
    assert.equal((await server.app.inject({ url: '/v1/snapshots', headers })).statusCode, 401);
    const nowhere = { method: 'GET', path: '/nothing' } as const;
    assert.equal((await ask(server, 'read', nowhere)).code, 'route_not_found');
  });

  it('is whom the host is told of', async () => {
    const seen: string[] = [];
    const server = guarded({
      listSnapshots: ({ principal }) => Promise.resolve(void seen.push(principal)).then(() => []),
    });
    await ask(server, 'read', routes.listSnapshots);
    assert.deepEqual(seen, ['may-read']);
  });
});
