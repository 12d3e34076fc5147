import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { owned, recorded as recordedIn } from '../../../test/support/recorded-sandbox.js';
import { armFailpoints, hostClock, unixSeconds } from '../../base/index.js';
import { isBoughError } from '../../contract/index.js';
import { lifetimeOf } from './lifetime.js';
import type { SandboxPaths } from './paths.js';
import { readRecord, type SandboxFields } from './record.js';

/** A sandbox's folders with a record in it. */
async function recorded(t: TestContext, more: Partial<SandboxFields> = {}): Promise<SandboxPaths> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-lifetime-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return recordedIn(dir, more);
}

describe('the lifetime of a sandbox in its record', () => {
  it('is found by the next daemon, terms and last use', async (t) => {
    const paths = await recorded(t);
    const first = await owned(paths);
    const lifetime = lifetimeOf({ endInMs: 3_600_000, onEnd: 'snapshot', onEndTag: 'last' });
    await first.update({ lifetime });
    await first.lifetime.during(() => Promise.resolve());
    await first.release();
    const next = await owned(paths);
    assert.deepEqual(next.view(), first.view());
    const { endAtUnix: atUnix, onEnd: onEnd, onEndTag: tag, lastUsedAtUnix: used } = next.view();
    assert.ok(Math.abs((atUnix ?? 0) - unixSeconds() - 3600) <= 2);
    assert.ok(Math.abs(used - unixSeconds()) <= 2);
    assert.deepEqual([onEnd, tag], ['snapshot', 'last']);
  });

  it('that ended while no daemon ran is due at once', async (t) => {
    const end = { atUnix: unixSeconds() - 5, atBootMs: hostClock.bootMs() - 5000, bootId: hostClock.bootId };
    const next = await owned(await recorded(t, { lifetime: { end, onEnd: 'kill' } }));
    assert.match(next.lifetime.due() ?? '', /time is over/);
  });

  it('is none in the record of an earlier version', async (t) => {
    const next = await owned(await recorded(t));
    assert.equal(next.lifetime.due(), undefined);
    assert.equal(next.view().lastUsedAtUnix, next.record.createdAtUnix);
  });

  it('takes no calls from when its end has begun, in the next daemon too', async (t) => {
    const paths = await recorded(t);
    const sandbox = await owned(paths);
    sandbox.require('use');
    await sandbox.noteEnd('last');
    for (const each of [sandbox, await owned(paths)]) {
      assert.throws(
        () => each.require('use'),
        (error) => isBoughError(error, 'sandbox_not_running') && error.message.includes('is at its end'),
      );
    }
    await sandbox.noteEnd(undefined);
    (await owned(paths)).require('use');
  });

  it('is written when the daemon lets go, also what could not be written before and what nobody waited for', async (t) => {
    const paths = await recorded(t);
    const sandbox = await owned(paths);
    armFailpoints('record.changed=errno:ENOSPC');
    await assert.rejects(sandbox.update({ branchCount: 7 }), { code: 'ENOSPC' });
    await sandbox.noteUse();
    assert.equal((await readRecord(paths.record)).branchCount, 7);
    void sandbox.update({ branchCount: 8 });
    await sandbox.release();
    assert.equal((await readRecord(paths.record)).branchCount, 8);
  });

  it('keeps every change when several are written at once', async (t) => {
    const paths = await recorded(t);
    const sandbox = await owned(paths);
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => sandbox.update({ branchCount: index, lastUsedAtUnix: index })),
    );
    const { branchCount, lastUsedAtUnix } = await readRecord(paths.record);
    assert.deepEqual([branchCount, lastUsedAtUnix], [19, 19]);
  });
});
