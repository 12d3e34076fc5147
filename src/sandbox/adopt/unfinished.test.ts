import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { removeUnfinishedFiles } from './unfinished.js';

describe('removeUnfinishedFiles()', () => {
  it('removes half-written overlays and records, of sandboxes that live on too', async (t) => {
    const stateDir = await mkdtemp(join(tmpdir(), 'bough-unfinished-'));
    t.after(() => rm(stateDir, { recursive: true }));
    const sandbox = join(stateDir, 'sandboxes', 'alive');
    const overlays = join(stateDir, 'overlays');
    await mkdir(join(sandbox, 'disk'), { recursive: true });
    await mkdir(overlays);
    for (const path of [
      join(sandbox, 'record.json'),
      join(sandbox, '.tmp-record.json-0123'),
      join(overlays, '1024.qcow2'),
      join(overlays, '.tmp-2048.qcow2-4567'),
    ]) {
      await writeFile(path, '');
    }
    const logged: string[] = [];
    const emit = (event: string): void => void logged.push(event);
    for (const round of [1, 2]) {
      await removeUnfinishedFiles({ tiers: { stateDir, hotDir: stateDir }, emit });
      assert.equal(logged.length, 2, `in round ${round}`);
    }
    assert.deepEqual((await readdir(sandbox)).sort(), ['disk', 'record.json']);
    assert.deepEqual(await readdir(overlays), ['1024.qcow2']);
  });

  it('has nothing to do in a state dir that is new', async () => {
    const nowhere = join(tmpdir(), 'bough-no-such-folder');
    await removeUnfinishedFiles({ tiers: { stateDir: nowhere, hotDir: nowhere }, emit: () => assert.fail() });
  });
});
