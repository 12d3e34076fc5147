import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { version } from '../../src/daemon/version.js';

const PROJECT_DIR = join(import.meta.dirname, '../../..');

describe('an installation', { timeout: 600_000 }, () => {
  let prefix = '';
  before(async () => {
    prefix = await mkdtemp(join(tmpdir(), 'bough-install-'));
  });
  after(() => rm(prefix, { recursive: true }));

  it('`npm install -g .` builds what is missing and puts `bough` on the PATH, `npm uninstall -g bough` takes it away', async () => {
    const npm = (...args: string[]) =>
      execa('npm', args, { cwd: PROJECT_DIR, env: { npm_config_prefix: prefix } });
    await npm('install', '-g', '.');
    const { stdout } = await execa('bough', ['--version'], {
      cwd: '/',
      env: { PATH: `${join(prefix, 'bin')}:${process.env['PATH'] ?? ''}` },
    });
    assert.equal(stdout, version);
    await npm('uninstall', '-g', 'bough');
    await assert.rejects(execa(join(prefix, 'bin/bough'), ['--version']), /ENOENT/);
  });

  it('the systemd unit stops the daemon alone, starts it again only after a failure, and lets it give VMMs their walls', async () => {
    const unit = await readFile(join(PROJECT_DIR, 'scripts/bough.service'), 'utf8');
    const settings = new Map(unit.split('\n').map((line) => line.split(/=(.*)/s, 2) as [string, string]));
    const asked = [
      'Type',
      'ExecStart',
      'KillMode',
      'OOMPolicy',
      'Restart',
      'DevicePolicy',
      'NoNewPrivileges',
    ];
    assert.equal(settings.get('RestrictNamespaces'), 'net');
    assert.deepEqual(
      asked.map((name) => settings.get(name)),
      ['notify', '/usr/bin/env bough serve', 'process', 'continue', 'on-failure', 'closed', 'yes'],
    );
  });

  it('the systemd unit is one that systemd takes without a word, and calls no more exposed than it was', async (t) => {
    const analyze = (...args: string[]) =>
      execa('systemd-analyze', [...args, join(PROJECT_DIR, 'scripts/bough.service')], { all: true });
    if ((await execa('systemd-analyze', ['--version']).catch(() => undefined)) === undefined) {
      t.skip('systemd is not installed here');
      return;
    }
    assert.equal((await analyze('verify')).all, '');
    await analyze('security', '--offline=true', '--threshold=40', '--no-pager');
  });
});
