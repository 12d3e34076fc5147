/** Routes of a sandbox's network over a host without VMs, whose policies are checked as the real host checks them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, describe, it } from 'node:test';
import { compact } from '../../src/base/index.js';
import { BoughError, networkPolicySchema, type NetworkPolicy } from '../../src/contract/index.js';
import { Networks } from '../../src/sandbox/entity/networks.js';
import { Secrets } from '../../src/sandbox/entity/secrets.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import { aSandbox } from '../support/fake-host.js';
import { until } from './rows-table.js';
import { rawExchange, testServer, token, type TestServer } from './support.js';

const NOWHERE = { stateDir: '/nowhere', hotDir: '/nowhere' };
const PRESETS = { python: [{ allow: 'index.example', ports: [443] }] };
const networks = new Networks({
  ...{ tiers: NOWHERE, presets: PRESETS, emit: () => undefined },
  secrets: new Secrets('/nowhere'),
});
after(() => networks.close());

const counts = { open: 0, connections: 0, refused: 0, queries: 0, bytes_up: 0, bytes_down: 0 };
const checking: Partial<Host> = {
  spawn: async ({ snapshotTag, network }) => {
    networks.checked(network);
    return Promise.resolve([aSandbox('s1', snapshotTag)]);
  },
  setNetwork: async (id, policy) => {
    if (id !== 's0') throw new BoughError('sandbox_not_found', { id });
    networks.checked(policy, '');
    return Promise.resolve({ policy, ...counts });
  },
  checkNetwork: async (id, what) => {
    if (id !== 's0') throw new BoughError('sandbox_not_found', { id });
    const policy = networkPolicySchema.parse({
      mode: 'list',
      rules: [{ allow: 'a.example' }, { allow: 'host', ports: [1] }],
    });
    return Promise.resolve(networks.check(policy, what));
  },
};

function server(script: Partial<Host> = {}, options: { token?: string } = {}): TestServer {
  const made = testServer({ ...checking, ...script }, options);
  made.host.sandboxes.set('s0', aSandbox('s0', 'base'));
  return made;
}

async function ask(
  to: TestServer,
  line: string,
  body?: object | string,
  headers: Record<string, string> = {},
) {
  const [method, url] = line.split(' ') as ['GET' | 'PUT' | 'POST', string];
  const type = typeof body === 'string' ? { 'content-type': 'application/json' } : {};
  const reply = await to.app.inject({
    ...{ method, url, headers: { host: 'localhost', ...type, ...headers } },
    ...compact({ payload: body }),
  });
  const json = reply.body === '' ? {} : reply.json<Record<string, unknown>>();
  const field = (json['details'] as Record<string, unknown> | undefined)?.['field'];
  return { status: reply.statusCode, json, code: json['code'], field };
}

const plain = server();
const guarded = server({}, { token });
const put = (body: object | string) => ask(plain, 'PUT /v1/sandboxes/s0/network', body);

describe('the network of a sandbox', () => {
  it('is told, and is replaced as a whole with what is left out filled in', async () => {
    const shown = await ask(plain, 'GET /v1/sandboxes/s0/network');
    assert.deepEqual([shown.status, (shown.json['policy'] as NetworkPolicy).mode], [200, 'none']);
    const set = await put({ mode: 'list', rules: [{ allow: 'pypi.example' }], presets: ['python'] });
    assert.equal(set.status, 200);
    assert.deepEqual(set.json, {
      policy: {
        mode: 'list',
        rules: [{ allow: 'pypi.example' }],
        presets: ['python'],
        max_connections: 1024,
      },
      ...counts,
    });
    const off = await put({});
    assert.equal((off.json['policy'] as NetworkPolicy).mode, 'off');
  });

  it('says of a target what would come of it, however that is written', async () => {
    const check = (host: string, port = 80) =>
      ask(plain, 'POST /v1/sandboxes/s0/network/check', { host, port }).then(({ json }) => json['verdict']);
    assert.equal(await check('A.example.'), 'allowed');
    assert.equal(await check('127.0.0.1', 1), 'allowed');
    for (const host of [
      'b.example',
      'a.example.evil',
      '0x7f.1',
      '::ffff:127.0.0.1',
      '169.254.169.254',
      'a b',
      '\0',
      '..',
    ])
      assert.equal(await check(host), 'refused', host);
  });

  it('is logged as lines, which an answer does not wait for', async () => {
    const reply = await plain.app.inject({
      url: '/v1/sandboxes/s0/network/log',
      headers: { host: 'localhost' },
    });
    assert.deepEqual([reply.statusCode, reply.headers['content-type']], [200, 'application/x-ndjson']);
    assert.equal(reply.body, '{"kind":"tcp"}\n');
  });
});

describe('a network policy that cannot be', () => {
  const REFUSED: readonly (readonly [body: object | string, field: string])[] = [
    [{ mode: 'everything' }, 'mode'],
    [{ mode: 'list', rule: [] }, 'rule'],
    [{ mode: 'list', rules: {} }, 'rules'],
    [{ mode: 'list', rules: [{}] }, 'rules.0'],
    [{ mode: 'list', rules: [{ allow: 'a.example', deny: 'b.example' }] }, 'rules.0'],
    [{ mode: 'list', rules: [{ allow: 'a.example', ports: [] }] }, 'rules.0.ports'],
    [{ mode: 'list', rules: [{ allow: 'a.example', ports: [0] }] }, 'rules.0.ports.0'],
    [{ mode: 'list', rules: [{ allow: 'a.example', ports: [65_536] }] }, 'rules.0.ports.0'],
    [{ mode: 'list', rules: [{ allow: 'a.example', ports: ['80'] }] }, 'rules.0'],
    [{ mode: 'list', rules: [{ allow: 'a.example', inject: [] }] }, 'rules.0.inject'],
    [{ mode: 'list', rules: [{ allow: 'x'.repeat(301) }] }, 'rules.0.allow'],
    [{ mode: 'list', rules: Array.from({ length: 1001 }, (_, n) => ({ allow: `n${n}.example` })) }, 'rules'],
    [{ mode: 'list', presets: ['perl'] }, 'presets.0'],
    [{ mode: 'list', max_connections: 1025 }, 'max_connections'],
    ['{"mode":"list","max_connections":1e999}', 'max_connections'],
    ['{"mode":"list","max_connections":1.5}', 'max_connections'],
    // What no shape can say.
    [{ mode: 'list', secrets: [] }, 'secrets'],
    [{ mode: 'list', secrets: ['../key'] }, 'secrets.0'],
    [{ mode: 'off', rules: [{ allow: 'a.example' }] }, 'rules'],
    [{ mode: 'off', secrets: ['key'] }, 'secrets'],
    [{ mode: 'list', rules: [{ allow: 'a.example' }, { allow: 'a.example' }] }, 'rules.1'],
    [{ mode: 'list', rules: [{ allow: '*' }] }, 'rules.0.allow'],
    [{ mode: 'list', rules: [{ allow: 'host' }] }, 'rules.0.allow'],
    [{ mode: 'list', rules: [{ deny: '10.0.0.1/8' }] }, 'rules.0.deny'],
    [{ mode: 'list', rules: [{ allow: '0177.0.0.1' }] }, 'rules.0.allow'],
    [{ mode: 'list', rules: [{ allow: '::ffff:127.0.0.1' }] }, 'rules.0.allow'],
    [{ mode: 'list', rules: [{ allow: 'a..example' }] }, 'rules.0.allow'],
    [{ mode: 'list', presets: ['node'] }, 'presets.0'],
  ];

  it('is refused with the part that is wrong, and so is a spawn with it', async () => {
    for (const [body, field] of REFUSED) {
      const refused = await put(body);
      assert.deepEqual(
        [refused.status, refused.code],
        [400, 'invalid_request'],
        JSON.stringify(body).slice(0, 200),
      );
      assert.equal(refused.field, field, JSON.stringify(body).slice(0, 200));
      if (typeof body === 'string') continue;
      const spawn = await ask(plain, 'POST /v1/sandboxes', { snapshot_tag: 'base', network: body });
      assert.deepEqual([spawn.status, spawn.field], [400, `network.${field}`]);
    }
  });

  it('is refused as JSON that is none, or means another thing than it seems', async () => {
    for (const body of ['[]', '{', '{"mode":"off"}}', '"off"', '\u0000', '['.repeat(10_000)]) {
      const { status, code } = await put(body);
      assert.equal(status, 400, body.slice(0, 20));
      assert.equal(typeof code, 'string');
    }
    assert.equal((await put('{"__proto__":{"mode":"internet"}}')).status, 400);
    assert.equal((await put(`{"mode":"${'x'.repeat(2 ** 20)}"}`)).status, 413);
  });
});

describe('who asks for a network', () => {
  const LINES = [
    ...['GET /v1/sandboxes/%/network', 'PUT /v1/sandboxes/%/network', 'GET /v1/sandboxes/%/network/log'],
    'POST /v1/sandboxes/%/network/check',
  ];
  const bodyOf = (line: string) =>
    line.startsWith('GET') ? undefined : line.endsWith('check') ? { host: 'a.example', port: 80 } : {};

  it('of a sandbox that is none is told so', async () => {
    for (const line of LINES)
      for (const id of ['absent', '..', '%2e%2e', '%00', '-', 'x'.repeat(300), '%E2%84%A6'] as const) {
        const { status, code } = await ask(plain, line.replace('%', id), bodyOf(line));
        assert.equal(status, 404, `${line} ${id}`);
        assert.equal(typeof code, 'string');
      }
  });

  it('without the token is told nothing, before a body is read', async () => {
    for (const line of LINES)
      for (const authorization of [
        '',
        'Bearer ',
        `Bearer ${token}x`,
        `Basic ${token}`,
        `Bearer ${'x'.repeat(9000)}`,
      ]) {
        const asked = await ask(guarded, line.replace('%', 's0'), bodyOf(line) && '{', { authorization });
        assert.deepEqual([asked.status, asked.code], [401, 'unauthorized'], line);
      }
  });

  it('asks with fields that are known, and no others', async () => {
    for (const query of ['?follow=maybe', '?follow=1&follow=1', '?since=1'])
      assert.equal((await ask(plain, `GET /v1/sandboxes/s0/network/log${query}`)).status, 400, query);
    for (const body of [
      {},
      { host: 'a' },
      { host: '', port: 1 },
      { host: 'a', port: 0 },
      { host: 'a', port: 1, x: 1 },
    ])
      assert.equal(
        (await ask(plain, 'POST /v1/sandboxes/s0/network/check', body)).status,
        400,
        JSON.stringify(body),
      );
  });

  it('hears of an egress that is not there, and may ask again', async () => {
    const down = () => Promise.reject(new BoughError('egress_unavailable', { problem: 'it has ended' }));
    const to = server({ network: down, setNetwork: down });
    for (const line of ['GET /v1/sandboxes/s0/network', 'PUT /v1/sandboxes/s0/network']) {
      const { status, code } = await ask(to, line, bodyOf(line));
      assert.deepEqual([status, code], [503, 'egress_unavailable']);
    }
    const fixed = () => Promise.reject(new BoughError('network_fixed', { id: 's0' }));
    assert.equal((await ask(server({ setNetwork: fixed }), 'PUT /v1/sandboxes/s0/network', {})).status, 409);
  });
});

describe('a log that is followed', () => {
  it('begins at once, also where nothing is logged', async () => {
    async function* quiet(signal: AbortSignal): AsyncGenerator<Uint8Array> {
      await once(signal, 'abort');
      yield* [];
    }
    const to = server({ networkLog: (_id, _how, { signal }) => Promise.resolve(quiet(signal)) });
    const address = await to.app.listen({ host: '127.0.0.1', port: 0 });
    try {
      const signal = AbortSignal.timeout(10_000);
      const { body } = await fetch(`${address}/v1/sandboxes/s0/network/log?follow`, { signal });
      const reader = body?.getReader();
      assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), '\n');
      await reader?.cancel();
    } finally {
      await stopShell(to, 50);
    }
  });

  it('waits for who does not read it, and ends with who leaves', async () => {
    let pieces = 0;
    let isLeft = false;
    async function* endless(signal: AbortSignal): AsyncGenerator<Uint8Array> {
      const piece = Buffer.from(`${'x'.repeat(65_535)}\n`);
      try {
        for (; !signal.aborted; pieces++)
          yield await new Promise<Buffer>((done) => setImmediate(done, piece));
      } finally {
        isLeft = true;
      }
    }
    const to = server({ networkLog: (_id, _how, { signal }) => Promise.resolve(endless(signal)) });
    const address = new URL(await to.app.listen({ host: '127.0.0.1', port: 0 }));
    try {
      const socket = connect(Number(address.port), '127.0.0.1');
      await once(socket, 'connect');
      socket.pause().write('GET /v1/sandboxes/s0/network/log?follow HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await until(() => pieces > 0);
      let before = -1;
      // Until what the kernel holds is full, and nobody asks for more.
      while (pieces !== before) {
        before = pieces;
        await new Promise((done) => setTimeout(done, 300));
      }
      assert(pieces < 1000, `${pieces} pieces of 64 KiB were read ahead`);
      socket.destroy();
      await until(() => isLeft);
      const head =
        'GET /v1/sandboxes/s0/network/log?follow=x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
      assert.match(await rawExchange(Number(address.port), head), /^HTTP\/1\.1 400 /);
    } finally {
      await stopShell(to, 50);
    }
  });
});
