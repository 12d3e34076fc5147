import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import type { ForkResult, Sandbox, Snapshot } from '../../src/contract/index.js';
import { runCli, startCli, type CliRun } from '../support/cli-run.js';
import { DaemonLab } from '../support/daemon-lab.js';
import { startRegistry } from '../support/registry.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

describe('bough, the command, with a real daemon', { timeout: 180_000 }, () => {
  let lab: DaemonLab;
  before(async () => {
    lab = await DaemonLab.open('cli');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  const bough = (args: string[], input = ''): Promise<CliRun> => runCli(args, { url: lab.url, input });
  /** What a command that must succeed printed. */
  const printed = async (...args: string[]): Promise<string> => {
    const { stdout, stderr, status } = await bough(args);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const json = async <T>(...args: string[]): Promise<T> =>
    JSON.parse(await printed(...args, '-o', 'json')) as T;

  it('spawns, branches and forks, and prints what scripts need: ids and tags', async () => {
    const id = (await printed('spawn', '--tag', TEMPLATE_TAG, '--name', 'source')).trim();
    assert.match(await printed('ls'), new RegExp(`${id}.*source.*running`));
    assert.equal(await printed('eval', id, '6 * 7'), '42\n');
    assert.equal(await printed('branch', id, '--tag', 'point', '--wait', 'durable'), 'point\n');
    assert.match(await printed('snapshots'), /point +durable +live/);
    const children = (await printed('fork', id, '--count', '2', '--tag', 'forked')).trim().split('\n');
    assert.deepEqual(
      (await json<Sandbox[]>('ls')).map((sandbox) => sandbox.id).sort(),
      [id, ...children].sort(),
    );
    assert.match(await printed('snapshot', 'info', 'point'), new RegExp(`ancestors +.*${TEMPLATE_TAG}`));
    await printed('rm', id, ...children);
    await printed('rm', '--snapshot', 'point', 'forked');
    assert.deepEqual(await json('ls'), []);
  });

  it('prints with -o json what the API answered', async () => {
    const [sandbox] = await json<Sandbox[]>('spawn', '--tag', TEMPLATE_TAG);
    assert(sandbox);
    const snapshot = await json<Snapshot>('branch', sandbox.id, '--mode', 'diff');
    assert.deepEqual([snapshot.mode, snapshot.branched_from], ['diff', sandbox.id]);
    const fork = await json<ForkResult>('fork', sandbox.id);
    assert.equal(fork.children.length, 1);
    const snapshots = await json<Snapshot[]>('snapshots');
    assert.deepEqual(
      snapshots.map(({ tag }) => tag).sort(),
      [TEMPLATE_TAG, snapshot.tag, fork.snapshot.tag].sort(),
    );
    const flat = await json<Snapshot>('snapshot', 'compact', snapshot.tag, '--to', 'flat');
    assert.equal(flat.tag, 'flat');
  });

  it('shows images and what the host can do, and boots an image into a snapshot', async () => {
    const { stateDir, hotDir, cacheDir } = lab.folders;
    const cache = ['--cache-dir', cacheDir];
    assert.match(await printed('image', 'ls', ...cache), /^python-numpy +[\d.]+ GiB +1536 MiB +1 /m);
    assert.equal(await printed('image', 'build', 'python-numpy', ...cache), 'python-numpy\n');
    assert.match(
      await printed('doctor', '--state-dir', stateDir, '--hot-dir', hotDir, ...cache),
      /^ok +pager /m,
    );
    assert.equal(
      await printed('snapshot', 'create', '--tag', 'booted', '--image', 'python-numpy'),
      'booted\n',
    );
    const id = (await printed('spawn', '--tag', 'booted')).trim();
    assert.equal(await printed('eval', id, '6 * 7'), '42\n');
  });

  it('sends a snapshot to a registry, tells of it there, and brings it back after a pull that was killed', async () => {
    const registry = await startRegistry();
    const dir = await mkdtemp(join(tmpdir(), 'bough-e2e-hub-'));
    try {
      const there = `${registry.address}/team/base:v1`;
      const cache = ['--cache-dir', dir];
      const digest = (await printed('push', TEMPLATE_TAG, there, ...cache)).trim();
      const facts = await json<Record<string, unknown>>('hub', 'inspect', there, ...cache, '--hub-keys', dir);
      assert.deepEqual(
        [facts['digest'], facts['signed_by'], facts['trusted'], facts['image']],
        [digest, 'nobody', false, 'python-numpy'],
      );
      const pull = ['pull', there, '--tag', 'came', ...cache];
      const killed = startCli([...pull, '--allow-unsigned'], { url: lab.url });
      const blobs = join(dir, 'hub/arriving/blobs/sha256');
      while ((await readdir(blobs).catch(() => [])).length === 0) await sleep(5);
      killed.kill('SIGKILL');
      await killed;
      assert.equal((await bough(pull)).status, 1);
      assert.deepEqual(
        (await json<Snapshot[]>('snapshots')).map(({ tag }) => tag),
        [TEMPLATE_TAG],
      );
      assert.equal(await printed(...pull, '--allow-unsigned'), 'came\n');
      assert.deepEqual(await readdir(join(dir, 'hub')), ['lock']);
      const id = (await printed('spawn', '--tag', 'came')).trim();
      assert.equal(await printed('eval', id, 'np.arange(4).sum()'), '6\n');
    } finally {
      await registry.close();
      await rm(dir, { recursive: true });
    }
  });

  it('measures a pause against the daemon that runs, and leaves nothing in it', async () => {
    const bench = [
      'bench',
      'pause',
      '--source-tag',
      TEMPLATE_TAG,
      '--iterations',
      '1',
      '--modes',
      'live-sync',
    ];
    assert.match(await printed(...bench), /^Pause window, ms\n.*\nlive-sync +1 +0 /m);
    assert.deepEqual(await json('ls'), []);
    assert.equal((await json<Snapshot[]>('snapshots')).length, 1);
  });

  it('exec passes on input, output and status as they are', async () => {
    const { id } = await lab.spawn();
    const script = 'cat; printf "a\\tb"; printf oops >&2; exit 9';
    const run = await bough(['exec', '-i', id, '--', 'sh', '-c', script], 'in\n');
    assert.deepEqual(run, { stdout: 'in\na\tb', stderr: 'oops', status: 9 });
  });

  it('eval passes on what was printed, each stream to its own, before the value', async () => {
    const { id } = await lab.spawn();
    assert.equal(await printed('eval', id, 'print(1)'), '1\n');
    const code = '(print("out"), __import__("sys").stderr.write("err\\n"))[1]';
    assert.deepEqual(await bough(['eval', id, code]), { stdout: 'out\n4\n', stderr: 'err\n', status: 0 });
  });

  it('exec passes on more than one answer holds', async () => {
    const { id } = await lab.spawn();
    const bytes = (16 << 20) + 1;
    const run = await bough(['exec', id, '--', 'head', '-c', String(bytes), '/dev/zero']);
    assert.deepEqual([run.stdout.length, run.stderr, run.status], [bytes, '', 0]);
  });

  it('run leaves no sandbox, kept programs are listed and print, lists are selected from', async () => {
    assert.equal(await printed('run', TEMPLATE_TAG, '--', 'echo', 'once'), 'once\n');
    assert.equal((await bough(['run', TEMPLATE_TAG, '--', 'sh', '-c', 'kill -9 $$'])).status, 137);
    assert.deepEqual(await json('ls'), []);
    const id = (await printed('spawn', '--tag', TEMPLATE_TAG, '--name', 'box', '--metadata', 'a=b')).trim();
    await printed('exec', '-d', '--tag', 'web', 'box', '--', 'sh', '-c', 'echo up; exec sleep 1000');
    assert.match(await printed('ps', 'box'), /web +running/);
    assert.equal(await printed('logs', 'box', 'web'), 'up\n');
    await printed('process', 'kill', 'box', 'web');
    assert.equal(await printed('logs', '-f', 'box', 'web'), 'up\n');
    assert.match(await printed('ps', 'box'), /web +SIGTERM/);
    await printed('pause', 'box');
    assert.match(await printed('ls', '-l', 'a=b'), new RegExp(`${id} +box +paused`));
    await printed('resume', 'box');
    assert.match(await printed('stats', 'box'), new RegExp(`^${id} +box`, 'm'));
    assert.match(await printed('tree'), new RegExp(`^└─ sandbox box ${id}`, 'm'));
    assert.equal(await printed('rm', '--selector', 'a=b'), `${id}\n`);
  });

  it('ends with 1 when refused, 2 when misused, 3 when no daemon answers', async () => {
    const refused = await bough(['spawn', '--tag', 'absent']);
    assert.deepEqual([refused.status, refused.stdout], [1, '']);
    assert.match(refused.stderr, /^error: No snapshot is named "absent"\nhint: /);
    assert.equal((await bough(['spawn'])).status, 2);
    assert.equal((await bough(['branch', 'x', '--mode', 'fast'])).status, 2);
    const nobody = await runCli(['ls'], { url: 'http://127.0.0.1:9' });
    assert.equal(nobody.status, 3);
    assert.match(nobody.stderr, /hint: start the daemon/);
  });
});
