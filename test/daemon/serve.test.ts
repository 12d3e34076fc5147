import assert from 'node:assert/strict';
import { connect, createServer, type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { Deferred } from '../../src/base/index.js';
import { loadConfig, type Config } from '../../src/daemon/config.js';
import { limits } from '../../src/daemon/shell/limits.js';
import { serve, type Daemon, type ServeOptions } from '../../src/daemon/serve.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { fakeHost } from '../support/fake-host.js';
import { rawExchange, silent } from './support.js';

const config: Config = loadConfig({ listen: '127.0.0.1:0', stateDir: '/nowhere' }, {});

async function withDaemon(
  body: (daemon: Daemon, port: number) => Promise<void>,
  script: Partial<Host> = {},
  options: ServeOptions = {},
): Promise<void> {
  const daemon = await serve(config, fakeHost(script), { log: silent, drainMs: 300, ...options });
  try {
    await body(daemon, Number(new URL(daemon.address).port));
  } finally {
    await daemon.close();
  }
}

const EXEC = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: '{"args":["sleep"]}',
};

/** A host whose exec begins, and ends when its signal fires. */
function execUntilAborted(): { script: Partial<Host>; begun: Deferred<void>; aborted: Deferred<void> } {
  const [begun, aborted] = [new Deferred<void>(), new Deferred<void>()];
  const exec: Host['exec'] = (_id, _request, { signal }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        aborted.resolve();
        reject(signal.reason as Error);
      });
      begun.resolve();
    });
  return { script: { exec }, begun, aborted };
}

function bodyOf(response: string): { error: string; code: string } {
  return JSON.parse(response.slice(response.indexOf('\r\n\r\n') + 4)) as { error: string; code: string };
}

describe('on a socket', () => {
  const cases: [string, string, number, string][] = [
    ['something that is not HTTP', 'hello\r\n\r\n', 400, 'malformed_http'],
    ['HTTP/0.9', 'GET /healthz\r\n\r\n', 400, 'malformed_http'],
    ['no Host header', 'GET /version HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'malformed_http'],
    [
      'two lengths',
      'POST /v1/sandboxes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
      400,
      'malformed_http',
    ],
    [
      'a length and chunks',
      'POST /v1/sandboxes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'malformed_http',
    ],
    [
      'an expectation nobody knows',
      'GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\nExpect: nothing\r\nConnection: close\r\n\r\n',
      404,
      'route_not_found',
    ],
    [
      'headers without end',
      `GET /version HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
      'headers_too_large',
    ],
    [
      'a length over the limit',
      'POST /v1/sandboxes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n{',
      413,
      'payload_too_large',
    ],
    [
      'a path that climbs',
      'GET /v1/snapshots/%2e%2e HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
      400,
      'invalid_request',
    ],
    [
      'an unescaped path that climbs',
      'GET /v1/snapshots/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
      404,
      'route_not_found',
    ],
    ['a NUL in the path', 'GET /v1/\0 HTTP/1.1\r\nHost: localhost\r\n\r\n', 400, 'malformed_http'],
    [
      'an absolute URI to elsewhere',
      'GET http://evil.example/version HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n',
      403,
      'host_not_allowed',
    ],
  ];
  for (const [what, request, status, code] of cases) {
    it(`${what} is ${status} with a body`, async () => {
      await withDaemon(async (_daemon, port) => {
        const response = await rawExchange(port, request);
        assert.match(response, new RegExp(`^HTTP/1.1 ${status} `));
        assert.equal(bodyOf(response).code, code);
        assert.match(response, /\r\nx-request-id: [0-9a-f]{16}\r\n/i);
      });
    });
  }

  it('endless chunks are cut off at the limit', async () => {
    await withDaemon(async (_daemon, port) => {
      const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
      const head =
        'POST /v1/sandboxes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
      const response = await rawExchange(port, head + chunk.repeat(20));
      assert.equal(bodyOf(response).code, 'payload_too_large');
    });
  });
});

describe('a client that leaves', () => {
  it('fires the signal of its exec', async () => {
    const { script, begun, aborted } = execUntilAborted();
    await withDaemon(async ({ address }) => {
      const client = new AbortController();
      const request = fetch(`${address}/v1/sandboxes/a/exec`, { ...EXEC, signal: client.signal });
      await begun.promise;
      client.abort();
      await assert.rejects(request);
      await aborted.promise;
    }, script);
  });
});

describe('stopping', () => {
  it('lets a running request finish and refuses new ones', async () => {
    let finish: (() => void) | undefined;
    const script: Partial<Host> = {
      listSandboxes: async () => new Promise((resolve) => (finish = () => resolve([]))),
    };
    await withDaemon(
      async (daemon) => {
        const running = fetch(`${daemon.address}/v1/sandboxes`);
        while (finish === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
        const closed = daemon.close();
        const refused = await fetch(`${daemon.address}/version`);
        assert.equal(refused.status, 503);
        assert.ok(Number(refused.headers.get('retry-after')) > 0);
        assert.equal(((await refused.json()) as { code: string }).code, 'shutting_down');
        finish();
        assert.equal((await running).status, 200);
        await closed;
        await assert.rejects(fetch(`${daemon.address}/healthz`));
      },
      script,
      { drainMs: 5000 },
    );
  });

  it('aborts what does not finish in time', async () => {
    const { script, begun } = execUntilAborted();
    await withDaemon(
      async (daemon) => {
        const running = fetch(`${daemon.address}/v1/sandboxes/a/exec`, EXEC);
        await begun.promise;
        await daemon.close();
        assert.equal((await running).status, 503);
      },
      script,
      { drainMs: 50 },
    );
  });

  // Nobody but the server's own limits would end such a request otherwise.
  it('is not held up by half a request', { timeout: limits.headersTimeoutMs }, async () => {
    await withDaemon(async (daemon, port) => {
      const socket = connect(port, '127.0.0.1', () => socket.write('GET /version HT'));
      socket.on('error', () => undefined);
      await new Promise((resolve) => setTimeout(resolve, 50));
      await daemon.close();
    });
  });

  it('twice is once', async () => {
    await withDaemon(async (daemon) => {
      await Promise.all([daemon.close(), daemon.close()]);
    });
  });
});

describe('listening', () => {
  it('refuses an address in use with a sentence', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    try {
      const taken = loadConfig({ listen: `127.0.0.1:${port}`, stateDir: '/nowhere' }, {});
      await assert.rejects(
        serve(taken, fakeHost(), { log: silent }),
        /Cannot listen on 127\.0\.0\.1:\d+: another process/,
      );
    } finally {
      other.close();
    }
  });

  it('refuses an address others can reach without a token', async () => {
    const open = loadConfig({ listen: '0.0.0.0:0', stateDir: '/nowhere' }, {});
    await assert.rejects(
      serve(open, fakeHost(), { log: silent }),
      /Refusing to listen on 0\.0\.0\.0 without a token/,
    );
  });
});
