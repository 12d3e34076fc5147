import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { listeningAddress, startOwnDaemon, startThrowawayDaemon } from './own-daemon.js';

describe('listeningAddress()', () => {
  it('is in one line of the daemon’s log', () => {
    const line = '{"level":30,"address":"http://127.0.0.1:4711","msg":"daemon.listening"}';
    assert.equal(listeningAddress(line), 'http://127.0.0.1:4711');
    assert.equal(listeningAddress('{"level":30,"msg":"opening"}'), undefined);
  });
});

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

  it('answers, tells its log, and close() leaves no process and no folder', async () => {
    const before = await throwawayFolders();
    const lines: string[] = [];
    const env = { ...process.env, BOUGH_STATE_DIR: '/dev/null/x', BOUGH_LOG_LEVEL: 'silent' };
    const daemon = await startThrowawayDaemon(cacheDir, env, { onLogLine: (line) => lines.push(line) });
    assert.deepEqual(await daemon.client.healthz(), { ok: true });
    assert(lines.some((line) => line.includes(daemon.url)));
    assert.notDeepEqual(await throwawayFolders(), before);
    await daemon.close();
    await daemon.close();
    assert(!existsSync(`/proc/${daemon.pid}`));
    assert.deepEqual(await throwawayFolders(), before);
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
