import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { BoughEvent } from '../contract/index.js';
import { startOwnDaemon, startThrowawayDaemon } from './own-daemon.js';

describe('a daemon of a command’s own', { timeout: 60_000 }, () => {
  let cacheDir: string;
  before(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), 'bough-own-daemon-'));
  });
  after(() => rm(cacheDir, { recursive: true }));

  const throwawayFolders = async (): Promise<string[]> =>
    (await Promise.all([readdir(tmpdir()), readdir('/dev/shm')]))
      .flat()
      .filter((name) => name.startsWith('bough-throwaway-'));

  it('answers, tells what happens, and close() leaves no process and no folder', async () => {
    const before = await throwawayFolders();
    const events: BoughEvent[] = [];
    const env = { ...process.env, BOUGH_STATE_DIR: '/dev/null/x', BOUGH_LOG_LEVEL: 'silent' };
    const daemon = await startThrowawayDaemon(cacheDir, env, { onEvent: (event) => events.push(event) });
    assert.deepEqual(await daemon.client.healthz(), { ok: true });
    assert.deepEqual(events, [{ name: 'daemon.listening', facts: { address: daemon.url, token: false } }]);
    assert.notDeepEqual(await throwawayFolders(), before);
    await daemon.close();
    await daemon.close();
    assert(!existsSync(`/proc/${daemon.pid}`));
    assert.deepEqual(await throwawayFolders(), before);
  });

  it('tells where it listens though its log is silent', async (t) => {
    const folders = {
      stateDir: await mkdtemp(join(cacheDir, 's-')),
      hotDir: await mkdtemp('/dev/shm/bough-own-'),
    };
    t.after(() => rm(folders.hotDir, { recursive: true }));
    const flags = ['--state-dir', folders.stateDir, '--hot-dir', folders.hotDir, '--log-level', 'silent'];
    const daemon = await startOwnDaemon(flags, process.env);
    assert.deepEqual(await daemon.client.healthz(), { ok: true });
    await daemon.stop();
  });

  it('that may not start rejects with what it said', async () => {
    await assert.rejects(
      startOwnDaemon(['--max-concurrent-branches', 'many'], process.env),
      /did not start: .*--max-concurrent-branches/,
    );
  });

  it('is not waited for once the caller has given up', async () => {
    const before = await throwawayFolders();
    const signal = AbortSignal.abort(new Error('given up'));
    await assert.rejects(startThrowawayDaemon(cacheDir, process.env, { signal }), /given up/);
    assert.deepEqual(await throwawayFolders(), before);
  });
});
