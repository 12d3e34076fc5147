import assert from 'node:assert/strict';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { lockPathOf } from '../store/index.js';
import { StillStopping, StopNotAllowed, stopDaemon, type StopSteps } from './stop.js';

/** A daemon with pid 7 that ends when it is told to. */
function daemon(): StopSteps {
  let ended = false;
  return {
    lockHolder: () => Promise.resolve(7),
    processStartTicks: () => Promise.resolve(ended ? undefined : 1),
    kill: () => (ended = true),
  };
}

const systemError = (code: string): Error => Object.assign(new Error(`${code}: kill`), { code });

describe('stopDaemon()', () => {
  let stateDir = '';
  before(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'bough-stop-'));
  });
  after(() => rm(stateDir, { recursive: true }));

  it('says whom it stopped', async () => {
    assert.equal(await stopDaemon(stateDir, 1_000, daemon()), 7);
  });

  it('finds none where the lock file names a process that is gone, or one that has not the file open', async () => {
    const lockPath = lockPathOf(stateDir);
    await mkdir(dirname(lockPath), { recursive: true });
    for (const stale of ['4194304\n', `${process.pid}\n`, '']) {
      await writeFile(lockPath, stale);
      assert.equal(await stopDaemon(stateDir, 1_000), undefined, JSON.stringify(stale));
    }
  });

  it('finds none where it ended between being found and being told', async () => {
    const kill = (): never => {
      throw systemError('ESRCH');
    };
    assert.equal(await stopDaemon(stateDir, 1_000, { ...daemon(), kill }), undefined);
  });

  it('names the folder where another user’s daemon may not be seen, or not told', async () => {
    const refuse = (code: string) => (): never => {
      throw systemError(code);
    };
    const cases: Partial<StopSteps>[] = [
      { lockHolder: () => Promise.reject(systemError('EACCES')) },
      { kill: refuse('EPERM') },
    ];
    for (const steps of cases) {
      await assert.rejects(stopDaemon(stateDir, 1_000, { ...daemon(), ...steps }), (error: unknown) => {
        assert(error instanceof StopNotAllowed);
        assert.match(error.message, new RegExp(`^Cannot stop the daemon over ${stateDir}: E(ACCES|PERM)`));
        return true;
      });
    }
  });

  it('says so when it does not end in time', async () => {
    const deaf = { ...daemon(), kill: () => undefined };
    await assert.rejects(stopDaemon(stateDir, 0, deaf), StillStopping);
  });
});
