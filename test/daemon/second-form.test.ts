/** Routes of sandboxes that came with the API's second form, over a host without VMs. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { compact } from '../../src/base/index.js';
import { BoughError, type SandboxEvent } from '../../src/contract/index.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import { aSandbox } from '../support/fake-host.js';
import { until } from './rows-table.js';
import { rawExchange, testServer, token, type TestServer } from './support.js';

type Method = 'GET' | 'POST' | 'DELETE';

async function ask(
  server: TestServer,
  line: `${Method} ${string}`,
  body?: object,
  headers: Record<string, string> = {},
) {
  const [method, url] = line.split(' ') as [Method, string];
  const reply = await server.app.inject({
    ...{ method, url, headers: { host: 'localhost', ...headers } },
    ...compact({ payload: body }),
  });
  return {
    status: reply.statusCode,
    json: (reply.body === '' ? {} : reply.json()) as Record<string, unknown> & Record<string, unknown>[],
    next: reply.headers['x-next-after'],
  };
}

/** A server with sandboxes `s0`, `s1`, ... of metadata `n: "0"`, ... and `parity`. */
function serverWith(count: number, script: Partial<Host> = {}): TestServer {
  const server = testServer(script);
  for (let n = 0; n < count; n++) {
    const metadata = { n: String(n), parity: n % 2 === 0 ? 'even' : 'odd' };
    server.host.sandboxes.set(`s${n}`, { ...aSandbox(`s${n}`, 'base'), createdAtUnix: 100 + n, metadata });
  }
  return server;
}

const idsOf = (list: readonly Record<string, unknown>[]) => list.map(({ id }) => id);

describe('lists', () => {
  it('hold what a selector chooses', async () => {
    const server = serverWith(5);
    const { json } = await ask(server, 'GET /v1/sandboxes?selector=parity=even,n!=2');
    assert.deepEqual(idsOf(json), ['s0', 's4']);
    for (const selector of ['', 'a=b,', '%00=%FF=']) {
      const refused = await ask(server, `GET /v1/sandboxes?selector=${selector}`);
      assert.deepEqual([refused.status, refused.json['code']], [400, 'invalid_request'], selector);
    }
  });

  it('come in pages when pages are asked for, and are as ever when they are not', async () => {
    const server = serverWith(5);
    const whole = await ask(server, 'GET /v1/sandboxes');
    assert.deepEqual([idsOf(whole.json), whole.next], [['s0', 's1', 's2', 's3', 's4'], undefined]);
    const first = await ask(server, 'GET /v1/sandboxes?limit=3');
    assert.deepEqual(idsOf(first.json), ['s0', 's1', 's2']);
    const second = await ask(server, `GET /v1/sandboxes?limit=3&after=${String(first.next)}`);
    assert.deepEqual([idsOf(second.json), second.next], [['s3', 's4'], undefined]);
    const snapshots = await ask(server, 'GET /v1/snapshots?limit=1');
    assert.deepEqual([snapshots.json.length, snapshots.next], [1, undefined]);
  });

  it('refuse what is no page', async () => {
    for (const query of [
      'limit=0',
      'limit=x',
      'limit=1e9',
      'limit=1&limit=2',
      'after=../..',
      'after=',
      'limit=1.5',
    ])
      for (const list of ['sandboxes', 'snapshots'] as const)
        assert.equal((await ask(serverWith(1), `GET /v1/${list}?${query}`)).status, 400, query);
  });
});

describe('removing by selector', () => {
  it('ends those that are chosen, and says which could not be', async () => {
    const server: TestServer = serverWith(4, {
      removeSandbox: (id) => {
        if (id === 's2')
          return Promise.reject(new BoughError('vmm_failed', { operation: 'end', problem: 'x' }));
        if (id === 's0') return Promise.reject(new BoughError('sandbox_not_found', { id }));
        server.host.sandboxes.delete(id);
        return Promise.resolve();
      },
    });
    const { status, json } = await ask(server, 'DELETE /v1/sandboxes?selector=n!=3');
    assert.equal(status, 200);
    assert.deepEqual(json['removed'], ['s0', 's1']);
    assert.deepEqual(
      (json['failed'] as Record<string, unknown>[]).map(({ id, code }) => [id, code]),
      [['s2', 'vmm_failed']],
    );
  });

  it('is refused without one: nobody means all of them by saying nothing', async () => {
    const server = serverWith(2);
    for (const query of ['', '?selector=', '?selector=parity=even&all=1', '?all=1']) {
      const { status, json } = await ask(server, `DELETE /v1/sandboxes${query}`);
      assert.deepEqual([status, json['code']], [400, 'invalid_request'], query);
    }
    assert.equal(server.host.sandboxes.size, 2);
  });
});

describe('a name', () => {
  it('serves wherever an id does', async () => {
    const server = testServer();
    const made = await ask(server, 'POST /v1/sandboxes', { snapshot_tag: 'base', name: 'web.1' });
    assert.equal(made.status, 201);
    const [{ id } = {}] = made.json;
    assert.equal((await ask(server, 'GET /v1/sandboxes/web.1')).json['id'], id);
    assert.equal((await ask(server, 'POST /v1/sandboxes/web.1/exec', { args: ['a'] })).status, 200);
    assert.equal((await ask(server, 'POST /v1/sandboxes/web.1/branch', { tag: 'x' })).status, 201);
    assert.equal((await ask(server, 'DELETE /v1/sandboxes/web.1')).status, 204);
  });

  it('is of one sandbox, and cannot be taken for an id', async () => {
    const spawn = async (more: object) =>
      ask(testServer(), 'POST /v1/sandboxes', { snapshot_tag: 'base', ...more });
    for (const more of [
      ...[{ name: 'a', n: 2 }, { name: 'abcdefghij012345' }, { name: '' }, { name: '.a' }, { name: 'a/b' }],
      ...[{ name: 'x'.repeat(64) }, { name: 'é' }, { name: '..' }],
    ]) {
      const { status, json } = await spawn(more);
      assert.deepEqual(
        [status, (json['details'] as Record<string, unknown> | undefined)?.['field']],
        [400, 'name'],
      );
    }
    assert.equal((await spawn({ name: 'abcdefghij01234' })).status, 201);
  });
});

describe('pause, resume and stats', () => {
  it('answer with what there is', async () => {
    const server = serverWith(1);
    assert.equal((await ask(server, 'POST /v1/sandboxes/s0/pause')).json['state'], 'paused');
    assert.equal((await ask(server, 'POST /v1/sandboxes/s0/resume', {})).json['state'], 'running');
    const { status, json } = await ask(server, 'GET /v1/sandboxes/s0/stats');
    assert.deepEqual([status, json['cpu_time_ms'], json['memory_pss_bytes']], [200, 120, 6144]);
    for (const line of ['POST /v1/sandboxes/no/pause', 'GET /v1/sandboxes/no/stats'] as const)
      assert.equal((await ask(server, line)).json['code'], 'sandbox_not_found');
  });

  it('refuse by name what they do not know', async () => {
    const refused = await ask(serverWith(1), 'POST /v1/sandboxes/s0/pause', { freeze: true });
    assert.deepEqual(
      [refused.status, refused.json['error']],
      [400, 'Invalid request: "freeze" is not known here'],
    );
    assert.equal((await ask(serverWith(1), 'GET /v1/sandboxes/s0/stats?a=1')).status, 400);
    assert.equal((await ask(serverWith(1), 'GET /v1/events?form=1')).status, 400);
    // Clients of the first form send what they like.
    assert.equal((await ask(serverWith(1), 'POST /v1/sandboxes/s0/ping', { freeze: true })).status, 200);
  });
});

describe('pages of other sites', () => {
  const post = (server: TestServer, headers: Record<string, string>) =>
    ask(server, 'POST /v1/sandboxes/s0/ping', undefined, headers);

  it('cannot call a daemon on loopback that needs no token', async () => {
    for (const headers of [
      ...[{ origin: 'http://evil.example' }, { origin: 'null' }, { origin: 'http://localhost:1' }],
      ...[{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'x' }],
    ] as Record<string, string>[]) {
      const { status, json } = await post(serverWith(1), headers);
      assert.deepEqual([status, json['code']], [403, 'origin_not_allowed'], JSON.stringify(headers));
    }
  });

  it('are not mistaken for others: its own, programs, and whoever follows a link', async () => {
    for (const headers of [
      ...[
        {},
        { origin: 'http://localhost' },
        { 'sec-fetch-site': 'same-origin' },
        { 'sec-fetch-mode': 'cors' },
      ],
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
    ] as Record<string, string>[])
      assert.equal((await post(serverWith(1), headers)).status, 200, JSON.stringify(headers));
  });

  it('have no token, so nothing is asked where one is needed', async () => {
    const server = testServer({}, { token });
    const headers = { origin: 'http://else.example', authorization: `Bearer ${token}` };
    assert.equal((await ask(server, 'GET /v1/sandboxes', undefined, headers)).status, 200);
  });
});

/** Reads entries of an ndjson stream until `count` have come, or it ends. */
async function entries(response: Response, count: number): Promise<SandboxEvent[]> {
  const found: SandboxEvent[] = [];
  let text = '';
  for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += Buffer.from(bytes).toString();
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    found.push(...lines.filter(Boolean).map((line) => JSON.parse(line) as SandboxEvent));
    if (found.length >= count) break;
  }
  return found;
}

describe('events', () => {
  const listening = async (work: (server: TestServer, address: string) => Promise<void>): Promise<void> => {
    const server = serverWith(2);
    const address = await server.app.listen({ host: '127.0.0.1', port: 0 });
    try {
      await work(server, address);
    } finally {
      await stopShell(server, 1000);
    }
  };
  const branched = (id: string, tag: string) => ({
    ...{ id, tag, pauseMs: 1.5, durationMs: 20, requestId: 'r', principal: 'anonymous' },
    mode: 'live' as const,
  });

  it('come as they happen, and from where one left off', async () => {
    await listening(async ({ events }, address) => {
      const live = await fetch(`${address}/v1/events`);
      assert.equal(live.headers.get('content-type'), 'application/x-ndjson');
      events.emit('sandbox.created', { id: 's0', snapshotTag: 'base', parent: undefined, name: 'web' });
      events.emit('call.failed', { code: 'internal' });
      events.emit('sandbox.branched', branched('s0', 'b1'));
      const [created, running, branch] = await entries(live, 3);
      assert(created?.event === 'created' && created.snapshot_tag === 'base' && created.name === 'web');
      assert.equal(running?.event, 'running');
      assert(branch?.event === 'branched' && branch.pause_ms === 1.5 && branch.snapshot_tag === 'b1');
      events.emit('sandbox.removed', { id: 's0' });
      for (const [url, headers] of [
        [`${address}/v1/events?from=${running.id}`, {}],
        [`${address}/v1/events`, { 'last-event-id': running.id }],
      ] as const) {
        const later = await entries(await fetch(url, { headers }), 2);
        assert.deepEqual(
          later.map(({ event }) => event),
          ['branched', 'ended'],
        );
      }
      const [gap] = await entries(await fetch(`${address}/v1/events?from=abc-7`), 1);
      assert.deepEqual(gap, { event: 'gap', id: gap?.id, missed: null });
    });
  });

  it('come as server-sent events to who asks for those', async () => {
    await listening(async ({ events }, address) => {
      events.emit('sandbox.paused', { id: 's0' });
      const headers = { accept: 'text/event-stream' };
      const answer = await fetch(`${address}/v1/events?from=oldest`, { headers });
      assert.equal(answer.headers.get('content-type'), 'text/event-stream');
      let text = '';
      for await (const bytes of answer.body as unknown as AsyncIterable<Uint8Array>) {
        text += Buffer.from(bytes).toString();
        if (text.includes('data:')) break;
      }
      assert.match(
        text,
        /^: nothing new\n\nid: [0-9a-f]+-1\nevent: paused\ndata: \{"event":"paused",.*\}\n\n$/,
      );
    });
  });

  it('of one sandbox end with it, and are there for a while after', async () => {
    await listening(async ({ events, host }, address) => {
      const url = `${address}/v1/sandboxes/s1/events?from=oldest`;
      const live = await fetch(url);
      events.emit('sandbox.branched', branched('s0', 'b1'));
      events.emit('sandbox.failed', { id: 's1', pid: 1, reason: 'x'.repeat(5000) });
      events.emit('sandbox.ended', { id: 's1', why: 'its time is over', snapshot: 'end-s1' });
      host.sandboxes.delete('s1');
      for (const answer of [live, await fetch(url)]) {
        const [failed, ended, ...more] = await entries(answer, 99);
        assert(failed?.event === 'failed' && failed.reason.length === 1024);
        assert(ended?.event === 'ended' && ended.snapshot_tag === 'end-s1');
        assert.deepEqual(more, []);
      }
      const absent = await fetch(`${address}/v1/sandboxes/nobody/events`);
      assert.equal(absent.status, 404);
    });
  });

  it('do not hold up a daemon that stops', async () => {
    const server = serverWith(1);
    const address = await server.app.listen({ host: '127.0.0.1', port: 0 });
    const streams = await Promise.all([1, 2].map(() => fetch(`${address}/v1/events`)));
    // Longer than any test may take.
    await stopShell(server, 3_600_000);
    for (const stream of streams) await stream.text().catch(() => undefined);
  });

  it('do not pile up for who does not read', async () => {
    await listening(async ({ events, calls }, address) => {
      const socket = connect(Number(new URL(address).port), '127.0.0.1');
      await once(socket, 'connect');
      socket.pause().write('GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await until(() => calls.count('stream') === 1);
      const reason = 'x'.repeat(1024);
      for (let round = 0; round < 40; round++) {
        for (let n = 0; n < 1000; n++) events.emit('sandbox.failed', { id: 's0', pid: 1, reason });
        await new Promise(setImmediate);
      }
      let received = '';
      socket.on('data', (chunk) => (received += chunk.toString('latin1')));
      socket.resume();
      await until(() => received.includes('"event":"gap"'));
      const missed = Number(/"missed":(\d+)/.exec(received)?.[1]);
      assert(missed > 20_000, `only ${missed} of 40,000 events of 1 KiB were left out`);
      socket.destroy();
    });
  });

  it('answer garbage with a refusal', async () => {
    await listening(async (_server, address) => {
      const port = Number(new URL(address).port);
      for (const query of [
        '?from=',
        '?from=%00',
        '?from=a-',
        '?from=-1',
        '?from=a&from=b',
        `?from=${'a'.repeat(900)}`,
      ]) {
        const head = `GET /v1/events${query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
        assert.match(await rawExchange(port, head), /^HTTP\/1\.1 400 /, query);
      }
    });
  });
});
