/** The tour goes from a snapshot that another machine made: nothing is built, nothing is booted, nothing is left but what was pulled. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { startOwnDaemon } from '../../src/cli/own-daemon.js';
import { runCli } from '../support/cli-run.js';
import { DaemonLab } from '../support/daemon-lab.js';
import { startRegistry, type Registry } from '../support/registry.js';
import { emptyFolders, TEMPLATE_TAG } from '../support/test-host.js';
import { limitMs } from '../support/time-limit.js';

const MAIN = join(import.meta.dirname, '../../src/cli/main.js');
const QUICKSTART_MS = 120_000;

describe('quickstart, from a snapshot that was pulled', { timeout: 240_000 }, () => {
  let here: DaemonLab;
  let registry: Registry;
  before(async () => {
    here = await DaemonLab.open('sends');
    registry = await startRegistry();
  });
  after(async () => {
    await registry.close();
    await here.close();
  });

  it('shows the tour on a machine without an image', async () => {
    const there = await emptyFolders('pulls');
    const cacheDir = await mkdtemp(join(tmpdir(), 'bough-quickstart-'));
    try {
      const reference = `${registry.address}/team/base:v1`;
      const flags = ['--state-dir', there.stateDir, '--hot-dir', there.hotDir, '--cache-dir', cacheDir];
      const sent = ['push', TEMPLATE_TAG, reference, '--cache-dir', cacheDir];
      assert.equal((await runCli(sent, { url: here.url })).status, 0);
      const daemon = await startOwnDaemon(flags, process.env);
      const pull = ['pull', reference, '--allow-unsigned', '--cache-dir', cacheDir];
      const pulled = await runCli(pull, { url: daemon.url });
      await daemon.stop();
      assert.equal(pulled.stdout, `${TEMPLATE_TAG}\n`, pulled.stderr);

      const { stdout, stderr } = await execa(process.execPath, [MAIN, 'quickstart'], {
        env: { BOUGH_STATE_DIR: there.stateDir, BOUGH_HOT_DIR: there.hotDir, BOUGH_CACHE_DIR: cacheDir },
        timeout: limitMs(QUICKSTART_MS),
      });
      assert.match(stderr, new RegExp(`^==> snapshot ${TEMPLATE_TAG} \\(there already\\)$`, 'm'));
      assert.doesNotMatch(stderr, /==> image/);
      for (const guest of ['source', 'child 1', 'child 2', 'child 3'])
        assert.match(stdout, new RegExp(`^${guest} +42 `, 'm'));
      assert.deepEqual(await readdir(join(there.stateDir, 'snapshots')), [TEMPLATE_TAG]);
      assert.deepEqual(await readdir(join(there.stateDir, 'sandboxes')).catch(() => []), []);
      await assert.rejects(readdir(join(cacheDir, 'images')), { code: 'ENOENT' });
    } finally {
      await there.remove();
      await rm(cacheDir, { recursive: true });
    }
  });
});
