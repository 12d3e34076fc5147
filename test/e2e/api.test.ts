import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { after, afterEach, before, describe, it } from 'node:test';
import { compact, sleep } from '../../src/base/index.js';
import type { GcItem, GcResult } from '../../src/contract/index.js';
import { DaemonLab } from '../support/daemon-lab.js';
import { vmProcesses } from '../support/leftovers.js';
import { refusedWith } from '../support/refusal.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

const POLL_MS = 50;
const DEADLINE_MS = 20_000;

async function until(isDone: () => Promise<boolean>): Promise<void> {
  const giveUpMs = performance.now() + DEADLINE_MS;
  while (!(await isDone())) {
    assert(performance.now() < giveUpMs, 'what was waited for did not happen');
    await sleep(POLL_MS);
  }
}

/** Whether a process is there. */
const isAlive = (pid: number | null): boolean => existsSync(`/proc/${pid ?? 'none'}`);

describe('the HTTP API of a real daemon', { timeout: 180_000 }, () => {
  let lab: DaemonLab;
  before(async () => {
    lab = await DaemonLab.open('api');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  const request = async (
    method: string,
    path: string,
    body?: string,
  ): Promise<{ status: number; json: Record<string, unknown> }> => {
    const response = await fetch(`${lab.url}${path}`, {
      method,
      ...compact({ body }),
      headers: { 'content-type': 'application/json' },
    });
    const text = await response.text();
    return {
      status: response.status,
      json: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
    };
  };

  it('tells of itself: health, version, metrics', async () => {
    assert.deepEqual(await lab.client.healthz(), { ok: true });
    assert.equal((await lab.client.version()).api, 'v1');
    const source = await lab.spawn();
    await lab.branch(source);
    const metrics = await lab.client.metrics();
    assert.match(metrics, /^bough_sandboxes\{state="running"\} 1$/m);
    assert.match(metrics, /^bough_branch_pause_seconds_count\{mode="live"\} 1$/m);
  });

  it('boots a built image and captures it, with as much RAM as asked for', async () => {
    const body = '{"tag": "booted", "image": "python-numpy", "memory_mib": 512, "boot_wait_secs": 0}';
    const made = await request('POST', '/v1/snapshots', body);
    assert.deepEqual([made.status, made.json['tag'], made.json['status']], [201, 'booted', 'ready']);
    assert.equal(made.json['bootable'], true);
    const sandbox = await lab.spawn('booted');
    assert.equal((await lab.client.sandboxes.get(sandbox.id)).memory_mib, 512);
    assert.equal(await sandbox.python('numpy.arange(4).sum().item()'), '6');
  });

  it('makes nothing twice for a key, also when it is asked at once, again, and after a crash of the daemon', async () => {
    const { id } = await lab.spawn();
    const branch = async (): Promise<string> =>
      (await lab.client.sandboxes.branch(id, {}, { idempotencyKey: 'branch' })).tag;
    const spawn = async (n = 2): Promise<string[]> => {
      const request = { snapshot_tag: TEMPLATE_TAG, n };
      const made = await lab.client.sandboxes.spawn(request, { idempotencyKey: 'spawn' });
      return made.map((each) => each.id).sort();
    };
    const fork = async (): Promise<string[]> => {
      const request = { count: 2 };
      const { snapshot, children } = await lab.client.sandboxes.fork(id, request, { idempotencyKey: 'fork' });
      const ids = children.map((each) => ('sandbox' in each ? each.sandbox.id : each.error));
      return [snapshot.tag, ...ids.sort()];
    };
    const [tag, tagAtOnce] = await Promise.all([branch(), branch()]);
    const [ids, idsAtOnce] = await Promise.all([spawn(), spawn()]);
    const [forked, forkedAtOnce] = await Promise.all([fork(), fork()]);
    assert.deepEqual([tagAtOnce, idsAtOnce, forkedAtOnce], [tag, ids, forked]);
    assert.deepEqual([await branch(), await spawn(), await fork()], [tag, ids, forked]);
    await refusedWith('idempotency_key_reused', 422, spawn(3));

    await lab.kill();
    await lab.start();
    assert.deepEqual([await branch(), await spawn(), await fork()], [tag, ids, forked]);
    await refusedWith('idempotency_key_reused', 422, spawn(3));
    assert.equal((await lab.client.sandboxes.list()).length, 1 + 2 + 2);
    assert.equal((await lab.client.snapshots.list()).length, 1 + 1 + 1);
    assert.equal((await lab.client.sandboxes.get(id)).branch_count, 2);

    const [lost = '', kept = ''] = ids;
    await lab.client.sandboxes.delete(lost);
    const completed = await spawn();
    assert(completed.includes(kept) && !completed.includes(lost) && completed.length === 2);
  });

  it('starts n sandboxes, runs programs and expressions in them, pings them, and ends them for good', async () => {
    const sandboxes = await lab.client.sandboxes.spawn({
      snapshot_tag: TEMPLATE_TAG,
      n: 3,
      metadata: { of: 'three' },
    });
    assert.equal(sandboxes.length, 3);
    const [first] = sandboxes;
    assert(first);
    const { id } = first;
    const run = { args: ['sh', '-c', 'cat; echo $WHO >&2; exit 7'], stdin: 'in', env: { WHO: 'me' } };
    assert.deepEqual(await lab.client.sandboxes.exec(id, run), {
      stdout: 'in',
      stderr: 'me\n',
      exit_code: 7,
      truncated: false,
    });
    assert.equal((await lab.client.sandboxes.eval(id, { code: 'numpy.arange(4).sum().item()' })).result, '6');
    assert.match((await lab.client.sandboxes.eval(id, { code: '1 / 0' })).error ?? '', /ZeroDivisionError/);
    const ping = await request('POST', `/v1/sandboxes/${id}/ping`, '');
    assert.deepEqual([ping.status, ping.json['pong']], [200, true]);

    const listed = await lab.client.sandboxes.list();
    assert.deepEqual(
      listed.map((sandbox) => sandbox.id).sort(),
      sandboxes.map((sandbox) => sandbox.id).sort(),
    );
    assert.deepEqual((await lab.client.sandboxes.get(id)).metadata, { of: 'three' });
    for (const sandbox of sandboxes) {
      assert(isAlive(sandbox.pid));
      assert.equal((await request('DELETE', `/v1/sandboxes/${sandbox.id}`, '')).status, 204);
      assert(!isAlive(sandbox.pid));
      await refusedWith('sandbox_not_found', 404, lab.client.sandboxes.get(sandbox.id));
    }
  });

  it('answers a branch when asked to: when the source runs, when it is ready, when it is durable', async () => {
    const source = await lab.spawn();
    await source.python('memory = bytearray(b"x") * (100 << 20)');
    const path = `/v1/sandboxes/${source.id}/branch`;
    const early = await request('POST', path, '{"tag": "early", "wait": false}');
    assert.deepEqual([early.status, early.json['tag']], [202, 'early']);
    const [stoppedMs, pauseMs] = [Number(early.json['stopped_ms']), Number(early.json['pause_ms'])];
    assert(0 < stoppedMs && stoppedMs <= pauseMs, `${stoppedMs} of ${pauseMs} ms`);
    await lab.listed('early', 'ready');

    const ready = await request('POST', path, '{"tag": "ready", "live": true, "measure_diff": true}');
    assert.deepEqual([ready.status, ready.json['status']], [201, 'ready']);
    const durable = await request('POST', path, '{"tag": "durable", "wait": "durable"}');
    assert.deepEqual([durable.status, durable.json['durable']], [201, true]);
    const diff = await request('POST', path, `{"diff": true, "parent_tag": "${TEMPLATE_TAG}"}`);
    assert.deepEqual([diff.status, diff.json['mode']], [201, 'diff']);

    const sandbox = await lab.client.sandboxes.get(source.id);
    assert.deepEqual([sandbox.has_branched, sandbox.branch_count], [true, 4]);
    assert(existsSync(sandbox.last_branch_memory_path ?? ''));
    const child = await lab.spawn('early');
    assert.equal(await child.python('len(memory)'), String(100 << 20));
  });

  it('forks: a snapshot and its children in one call', async () => {
    const source = await lab.spawn();
    await source.python('answer = 42');
    const { snapshot, pause_ms, children } = await lab.client.sandboxes.fork(source.id, {
      count: 2,
      tag: 'fork',
    });
    assert.deepEqual([snapshot.tag, snapshot.status, children.length], ['fork', 'ready', 2]);
    assert(pause_ms > 0);
    for (const child of children) {
      assert('sandbox' in child);
      assert.equal(child.sandbox.parent, source.id);
      assert.equal(await lab.guest(child.sandbox.id).python('answer'), '42');
    }
  });

  it('tells a snapshot, its sizes and its lineage, folds it, and deletes it when nobody needs it', async () => {
    const source = await lab.spawn();
    await source.python('answer = 42');
    const first = await lab.branch(source, { tag: 'first' });
    const child = await lab.spawn(first);
    await lab.branch(child, { tag: 'second' });

    assert.equal((await lab.client.snapshots.get('second')).branched_from, child.id);
    const info = await lab.client.snapshots.info('second');
    assert.deepEqual(info.ancestors, [TEMPLATE_TAG, 'first']);
    assert(info.memory_physical_bytes < info.memory_logical_bytes && info.vmstate_bytes > 0);
    assert.deepEqual((await lab.client.snapshots.info('first')).dependents, ['second']);

    const flat = await request('POST', '/v1/snapshots/second/compact', '{"to": "flat"}');
    assert.deepEqual([flat.status, flat.json['tag']], [200, 'flat']);
    assert.deepEqual((await lab.client.snapshots.info('flat')).ancestors, []);
    assert.equal(await (await lab.spawn('flat')).python('answer'), '42');

    const inUse = await refusedWith('snapshot_in_use', 409, lab.client.snapshots.delete('first'));
    assert.deepEqual(inUse.details['snapshots'], ['second']);
    assert.deepEqual(inUse.details['sandboxes'], [child.id]);
    await lab.client.sandboxes.delete(child.id);
    await lab.client.snapshots.delete('first', { cascade: true });
    await refusedWith('snapshot_not_found', 404, lab.client.snapshots.get('second'));
  });

  it('ends a sandbox when it was told to, in the way it was told to', async () => {
    const source = await lab.spawn();
    await source.python('answer = 42');
    const path = `/v1/sandboxes/${source.id}/timeout`;
    const set = await request('POST', path, '{"timeout_secs": 3600, "idle_timeout_secs": 600}');
    assert.equal(set.status, 200);
    assert(Math.abs(Number(set.json['end_at_unix']) - Date.now() / 1000 - 3600) < 60);
    assert.equal(set.json['idle_timeout_secs'], 600);
    const unset = await request('POST', path, '{"never": true, "idle_timeout_secs": 0}');
    assert.deepEqual([unset.json['end_at_unix'], unset.json['idle_timeout_secs']], [undefined, undefined]);
    assert.equal((await request('POST', path, '{}')).status, 400);

    await request('POST', path, '{"timeout_secs": 0.5, "on_end": "snapshot", "on_end_tag": "last"}');
    await until(async () => (await lab.client.sandboxes.list()).length === 0);
    assert.equal((await lab.client.snapshots.get('last')).durable, true);
    assert.equal(await (await lab.spawn('last')).python('answer'), '42');
  });

  it('collects what has expired, once nothing holds it, and says so before it does', async () => {
    const source = await lab.spawn();
    await lab.branch(source, { tag: 'brief', expires_in_secs: 0.1 });
    const child = await lab.spawn('brief');
    const collect = async (body: string): Promise<GcResult> => {
      const { status, json } = await request('POST', '/v1/gc', body);
      assert.equal(status, 200);
      return json as GcResult;
    };
    const names = (items: GcItem[]): string[] => items.map(({ name }) => name);
    await until(async () => names((await collect('{"dry_run": true}')).kept).includes('brief'));
    const held = await collect('');
    assert.deepEqual([held.dry_run, names(held.removed), names(held.kept)], [false, [], ['brief']]);
    assert.match(held.kept[0]?.why ?? '', new RegExp(child.id));

    await lab.client.sandboxes.delete(child.id);
    assert.deepEqual(names((await collect('{"dry_run": true}')).removed), ['brief']);
    assert.equal((await lab.client.snapshots.get('brief')).status, 'ready');
    const done = await collect('{}');
    assert.deepEqual(names(done.removed), ['brief']);
    assert(done.freed_bytes > 0);
    await refusedWith('snapshot_not_found', 404, lab.client.snapshots.get('brief'));
  });

  it('keeps no file open of what is gone, nor does a source of its branches', async () => {
    const openFiles = async (pid: number): Promise<number> => (await readdir(`/proc/${pid}/fd`)).length;
    const source = await lab.spawn();
    const vmmPid = (await lab.client.sandboxes.get(source.id)).pid ?? 0;
    const work = async (): Promise<void> => {
      const tags = [await lab.branch(source), await lab.branch(source, { mode: 'diff', wait: 'durable' })];
      const { snapshot, children } = await lab.client.sandboxes.fork(source.id, { count: 2 });
      for (const child of children) {
        assert('sandbox' in child);
        await lab.client.sandboxes.delete(child.sandbox.id);
      }
      for (const tag of [...tags, snapshot.tag]) await lab.client.snapshots.delete(tag);
      await refusedWith('snapshot_not_found', 404, lab.spawn(snapshot.tag));
    };
    // What is opened once and kept is open after the first time; a guest's serial ports are, one behind each answer.
    for (let call = 0; call < 4; call += 1) await source.python('1');
    await work();
    const before = [await openFiles(lab.pid), await openFiles(vmmPid)];
    await work();
    await until(async () => {
      const now = [await openFiles(lab.pid), await openFiles(vmmPid)];
      return now.every((count, index) => count <= (before[index] ?? 0));
    });
    assert.deepEqual(
      (await vmProcesses(lab.folders.hotDir)).map(({ pid }) => pid),
      [vmmPid],
    );
  });

  it('refuses what it cannot read, with a sentence and a code', async () => {
    const source = await lab.spawn();
    const branch = `/v1/sandboxes/${source.id}/branch`;
    const refusals: [method: string, path: string, body: string, status: number, code: string][] = [
      ['POST', branch, '{', 400, 'malformed_json'],
      ['POST', branch, '{"tag": "not a tag"}', 400, 'invalid_request'],
      ['POST', branch, '{"mode": "fast"}', 400, 'invalid_request'],
      ['POST', branch, '{"mode": "diff", "live": true}', 400, 'invalid_request'],
      ['POST', branch, '{"mode": "full", "wait": false}', 400, 'invalid_request'],
      ['POST', branch, '{"diff": true, "parent_tag": "other"}', 400, 'invalid_request'],
      ['POST', branch, `{"tag": "${TEMPLATE_TAG}"}`, 409, 'tag_exists'],
      ['POST', '/v1/snapshots', `{"tag": "${TEMPLATE_TAG}", "image": "python-numpy"}`, 400, 'tag_exists'],
      ['POST', '/v1/snapshots', '{"tag": "x", "image": "absent"}', 404, 'image_not_found'],
      ['POST', '/v1/sandboxes', '{"snapshot_tag": "absent"}', 404, 'snapshot_not_found'],
      ['POST', '/v1/sandboxes', '{"snapshot_tag": 5}', 400, 'invalid_request'],
      ['POST', '/v1/sandboxes/nobody/branch', '{}', 404, 'sandbox_not_found'],
      ['DELETE', `/v1/snapshots/${TEMPLATE_TAG}?cascade=true&force=true`, '', 400, 'invalid_request'],
      ['GET', '/v1/nothing', '', 404, 'route_not_found'],
    ];
    for (const [method, path, body, status, code] of refusals) {
      const answer = await request(method, path, ...(method === 'GET' ? [] : [body]));
      assert.deepEqual([answer.status, answer.json['code']], [status, code], `${method} ${path} ${body}`);
      assert.equal(typeof answer.json['error'], 'string');
    }
    assert.equal(await source.python('6 * 7'), '42');
    assert.deepEqual(await lab.leftovers(), []);
  });
});
