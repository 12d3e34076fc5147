import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Server as TcpServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { endpoints } from '../../src/contract/index.js';
import { loadConfig } from '../../src/daemon/config.js';
import { serve, type Daemon } from '../../src/daemon/serve.js';
import { Bough, BoughApiError, BoughUnreachable, type OpenSocket } from '../../src/sdk/index.js';
import { silent } from '../daemon/support.js';
import { fakeHost } from '../support/fake-host.js';

/** Routes that are called by their names alone: what `stat` says is more than the headers of a file. */
const WITHOUT_METHOD = new Set(['headFile']);

describe('the SDK against a daemon', () => {
  let daemon: Daemon;
  let bough: Bough;

  before(async () => {
    const config = loadConfig({ listen: '127.0.0.1:0', stateDir: '/nowhere' }, {});
    const exec = () => new Promise<never>(() => undefined);
    daemon = await serve(config, fakeHost({ exec }), { log: silent, drainMs: 20 });
    bough = new Bough({ url: `${daemon.address}/` });
  });
  after(async () => daemon.close());

  it('reaches every endpoint', async () => {
    const called = new Set<string>();
    const spy: typeof fetch = (input, init) => {
      called.add(`${init?.method ?? 'GET'} ${patternOf(input)}`);
      const body = init?.method === undefined || init.method === 'GET' ? '{}' : '{"pid":7}';
      const headers = { 'content-type': 'application/json', 'bough-tag': 't1' };
      return Promise.resolve(new Response(body, { headers }));
    };
    const webSocket: OpenSocket = (url) => {
      called.add(`GET ${patternOf(url)}`);
      throw new TypeError('no socket here');
    };
    const client = new Bough({ url: 'http://localhost', fetch: spy, webSocket });
    const { snapshots, sandboxes } = client;
    await Promise.all([client.healthz(), client.version(), client.metrics(), client.openapi(), client.gc()]);
    await Promise.all([snapshots.list(), snapshots.get('t1'), snapshots.info('t1'), snapshots.delete('t1')]);
    await Promise.all([snapshots.create({ tag: 't1', image: 'i' }), snapshots.compact('t1', 't2')]);
    await Promise.all([sandboxes.list(), sandboxes.get('s1'), sandboxes.delete('s1'), sandboxes.ping('s1')]);
    await Promise.all([sandboxes.spawn({ snapshot_tag: 't1' }), sandboxes.exec('s1', { args: ['a'] })]);
    await Promise.all([sandboxes.eval('s1', { code: '1' }), sandboxes.branch('s1'), sandboxes.fork('s1')]);
    await sandboxes.setTimeout('s1', { timeout_secs: 1 });
    const { secrets } = client;
    await Promise.all([
      secrets.list(),
      secrets.set('k1', { value: 'v', hosts: ['h'] }),
      secrets.remove('k1'),
    ]);
    await Promise.all([firstOf(snapshots.export('t1')), snapshots.import(new Uint8Array(), { tag: 't9' })]);
    await snapshots.trustedKeys();
    const once = { reconnectMs: 0 };
    await Promise.all([sandboxes.deleteSelected('a=b'), sandboxes.pause('s1'), sandboxes.resume('s1')]);
    await Promise.all([
      sandboxes.stats('s1'),
      firstOf(client.events({}, once)),
      firstOf(sandboxes.events('s1', {}, once)),
    ]);
    const { processes, network } = client.sandbox('s1');
    const process = await processes.start(['a']);
    await Promise.all([processes.list(), process.info(), process.write('b'), process.kill()]);
    await Promise.all([process.resize({ cols: 1, rows: 1 }), firstOf(process.output({}, once))]);
    await assert.rejects(process.attach(), { message: 'no socket here' });
    await Promise.all([network.get(), network.set({}), network.check({ host: 'h', port: 1 })]);
    await firstOf(network.log());
    await assert.rejects(client.sandbox('s1').ports.connect(80), { message: 'no socket here' });
    const { files, timeline } = client.sandbox('s1');
    await timeline.rollback('t1');
    await Promise.all([timeline.list(), timeline.schedule(), timeline.setSchedule({ every_secs: 1 })]);
    await timeline.removeSchedule();
    await Promise.all([files.read('/a'), files.write('/a', 'b'), files.stat('/a'), files.remove('/a')]);
    await Promise.all([files.makeFolder('/a'), files.move('/a', '/b'), files.unpack('/a', 'b')]);
    await firstOf(files.pack('/a'));
    await firstOf(files.watch('/a'));
    await firstOf(files.list('/a'));
    const all = Object.entries(endpoints).flatMap(([name, { method, path }]) =>
      WITHOUT_METHOD.has(name) ? [] : [`${method} ${path}`],
    );
    assert.deepEqual([...called].sort(), all.sort());
  });

  it('sends the idempotency key of a call that has one', async () => {
    const sent: (string | null)[] = [];
    const spy: typeof fetch = (_input, init) => {
      sent.push(new Headers(init?.headers).get('idempotency-key'));
      return Promise.resolve(new Response(null, { status: 204 }));
    };
    const { sandboxes } = new Bough({ url: 'http://localhost', fetch: spy });
    await sandboxes.spawn({ snapshot_tag: 't1' }, { idempotencyKey: 'once' });
    await sandboxes.branch('s1');
    assert.deepEqual(sent, ['once', null]);
  });

  it('spawns, branches, forks and deletes', async () => {
    assert.deepEqual(await bough.healthz(), { ok: true });
    const [sandbox] = await bough.sandboxes.spawn({ snapshot_tag: 'base' });
    assert.ok(sandbox);
    assert.deepEqual(await bough.sandboxes.eval(sandbox.id, { code: '2' }), {
      result: '2',
      error: null,
      exit_code: 0,
      stdout: '',
      stderr: '',
      truncated: false,
    });
    const snapshot = await bough.sandboxes.branch(sandbox.id, { tag: 'one', wait: false });
    assert.equal(snapshot.status, 'writing');
    const fork = await bough.sandboxes.fork(sandbox.id, { count: 2, tag: 'two' });
    assert.equal(fork.children.length, 2);
    await bough.sandboxes.delete(sandbox.id);
    await bough.snapshots.delete('one', { force: true });
    assert.ok((await bough.snapshots.list()).every(({ tag }) => tag !== 'one'));
  });

  it('turns a failure into an error with status, code and details', async () => {
    const error = await bough.snapshots.get('absent').catch((reason: unknown) => reason);
    assert.ok(error instanceof BoughApiError);
    assert.deepEqual(
      [error.status, error.code, error.details],
      [404, 'snapshot_not_found', { tag: 'absent' }],
    );
    assert.match(error.requestId ?? '', /^[0-9a-f]{16}$/);
  });

  it('stops waiting when its signal fires', async () => {
    const signal = AbortSignal.timeout(20);
    await assert.rejects(bough.sandboxes.exec('a', { args: ['x'] }, { signal }), { name: 'TimeoutError' });
  });

  it('never lets a name reach another route', async () => {
    for (const id of ['', '.', '..', 'a/b', 'a?b', 'a#b', '%2e%2e']) {
      await assert.rejects(bough.sandboxes.get(id), TypeError, id);
    }
  });
});

/** The path of a URL, with its parameters' names. */
function patternOf(url: Parameters<typeof fetch>[0]): string {
  const path = new URL(url instanceof Request ? url.url : url).pathname;
  return path
    .replace(/\/s1(?=\/|$)/, '/:id')
    .replace(/\/t1(?=\/|$)/, '/:tag')
    .replace(/\/7(?=\/|$)/, '/:pid')
    .replace(/\/80(?=\/|$)/, '/:port')
    .replace(/\/k1(?=\/|$)/, '/:name');
}

/** Asks for the first item, which the answers here do not have. */
async function firstOf(items: AsyncGenerator): Promise<void> {
  await items.next().catch(() => undefined);
  await items.return(undefined);
}

describe('the SDK without a daemon', () => {
  it('says that nothing listens', async () => {
    const server: TcpServer = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const url = `http://127.0.0.1:${port}`;
    await assert.rejects(new Bough({ url }).healthz(), (error) => {
      assert.ok(error instanceof BoughUnreachable);
      assert.equal(error.message, `No answer from ${url}: nothing listens there`);
      return true;
    });
  });

  it('says that something else answers', async () => {
    const other: typeof fetch = () => Promise.resolve(new Response('<html>', { status: 502 }));
    await assert.rejects(new Bough({ url: 'http://localhost', fetch: other }).version(), {
      name: 'BoughApiError',
      code: 'unexpected_answer',
      status: 502,
    });
  });

  it("explains the transport's own limit", async () => {
    const slow: typeof fetch = () =>
      Promise.reject(new TypeError('fetch failed', { cause: { code: 'UND_ERR_HEADERS_TIMEOUT' } }));
    await assert.rejects(new Bough({ url: 'http://localhost', fetch: slow }).version(), /300 seconds/);
  });
});
