import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { CliDaemon } from '../../test/support/cli-daemon.js';
import type { Sandbox, SandboxStats, Snapshot } from '../contract/index.js';

describe('forms of answers', () => {
  let daemon: CliDaemon;
  before(async () => {
    daemon = await CliDaemon.open();
  });
  after(() => daemon.close());

  it('lists in every form: for people, for programs, and names alone', async () => {
    const id = await daemon.spawn('--name', 'web.1');
    assert.match(await daemon.printed('ls'), new RegExp(`^ID .*\n${id} +web\\.1 `));
    const json = JSON.parse(await daemon.printed('ls', '-o', 'json')) as Sandbox[];
    assert.deepEqual(parse(await daemon.printed('ls', '-o', 'yaml')), json);
    assert.equal(await daemon.printed('ls', '-o', 'name'), `${id}\n`);
    assert.equal(await daemon.printed('ls', '-q'), `${id}\n`);
    assert.equal(await daemon.printed('snapshots', '-q'), 'base\n');
    await daemon.printed('rm', 'web.1');
  });

  it('shows one thing in every form', async () => {
    const id = await daemon.spawn();
    assert.match(await daemon.printed('inspect', id), /^state +running$/m);
    const json = JSON.parse(await daemon.printed('inspect', id, '-o', 'json')) as Sandbox;
    assert.deepEqual(parse(await daemon.printed('sandbox', 'info', id, '-o', 'yaml')), json);
    assert.equal(await daemon.printed('inspect', id, '-o', 'name'), `${id}\n`);
    const info = parse(await daemon.printed('snapshot', 'info', 'base', '-o', 'yaml')) as Snapshot;
    assert.equal(info.tag, 'base');
  });

  it('says in words only what a person reads: a deed as a name has none', async () => {
    const id = await daemon.spawn();
    const named = await daemon.run(['branch', id, '--tag', 'quiet', '-o', 'name']);
    assert.deepEqual(named, { code: 0, stdout: 'quiet\n', stderr: '' });
    const made = parse(await daemon.printed('branch', id, '-o', 'yaml')) as Snapshot;
    assert.equal(made.branched_from, id);
  });

  it('stats are of all that run, or of those named', async () => {
    const id = await daemon.spawn();
    assert.match(await daemon.printed('stats', id), new RegExp(`^${id} +- +120\\.00 ms +4\\.0 KiB`, 'm'));
    const all = JSON.parse(await daemon.printed('stats', '-o', 'json')) as (SandboxStats & Sandbox)[];
    assert.equal(all.length, daemon.host.sandboxes.size);
    assert.equal((await daemon.run(['stats', 'nowhere'])).code, 1);
  });

  it('holds no escape sequence, with NO_COLOR or without', async () => {
    for (const env of [{}, { NO_COLOR: '1' }, { FORCE_COLOR: '1' }])
      for (const args of [['ls'], ['tree'], ['--help'], ['rm', 'nowhere']]) {
        const { stdout, stderr } = await daemon.run(args, { env, io: { isTerminal: true } });
        assert(!`${stdout}${stderr}`.includes('\x1b'), args.join(' '));
      }
  });
});
