import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { armFailpoints, disarmFailpoints, firedFailpoints } from '../../src/base/index.js';
import { KILL_ONLY, PART_FAILPOINTS } from '../faults/failpoints.js';
import { checkOpenPart, checkPart, contextOver, PARTS } from '../faults/host-parts.js';
import { makeWorld, openIn, type StoreDirs } from '../faults/store-world.js';

const CHILD = fileURLToPath(new URL('../faults/interrupted-part.js', import.meta.url));
const CHILD_DEADLINE_MS = 60_000;

const CASES = [...PART_FAILPOINTS].flatMap(([place, cases]) =>
  cases.map(({ operation, count }) => ({
    ...{ place, operation, count },
    name: `${place} in ${operation}${count === 1 ? '' : `, passage ${count}`}`,
  })),
);

describe('a part of the host that is interrupted', () => {
  let template: StoreDirs;
  let dirs: StoreDirs;
  const made: string[] = [];

  const freshDirs = async (): Promise<StoreDirs> => {
    const fresh = {
      stateDir: await mkdtemp(join(tmpdir(), 'bough-part-')),
      hotDir: await mkdtemp('/dev/shm/bough-part-'),
    };
    made.push(fresh.stateDir, fresh.hotDir);
    return fresh;
  };
  const remove = async (from: number): Promise<void> => {
    for (const folder of made.splice(from)) await rm(folder, { recursive: true, force: true });
  };

  before(async () => {
    template = await freshDirs();
    await makeWorld(template);
  });
  afterEach(async () => {
    disarmFailpoints();
    await remove(2);
  });
  after(() => remove(0));

  const world = async (): Promise<void> => {
    dirs = await freshDirs();
    await cp(template.stateDir, dirs.stateDir, { recursive: true });
  };

  for (const { place, operation, count, name } of CASES) {
    it(`killed at ${name} loses nothing and leaves nothing`, async () => {
      await world();
      const options = JSON.stringify({ ...dirs, operation, failpoints: `${place}:${count}=abort` });
      const child = spawn(process.execPath, [CHILD, options], {
        stdio: ['ignore', 'inherit', 'inherit'],
        timeout: CHILD_DEADLINE_MS,
      });
      await once(child, 'close');
      assert.equal(child.signalCode, 'SIGKILL', 'the place was not reached');
      await checkPart(dirs, operation, false);
    });
  }

  for (const { place, operation, count, name } of CASES.filter((each) => !KILL_ONLY.includes(each.place))) {
    it(`EIO at ${name} fails the operation and nothing else`, async () => {
      await world();
      const store = await openIn(dirs);
      try {
        const context = contextOver(dirs, store);
        await PARTS[operation]?.prepare?.(dirs, context);
        armFailpoints(`${place}:${count}=errno:EIO`);
        await PARTS[operation]?.run(dirs, context).catch(() => undefined);
        assert.deepEqual(firedFailpoints(), [place], 'the place was not reached');
        disarmFailpoints();
        await checkOpenPart(dirs, context, operation);
      } finally {
        await store.close();
      }
      await checkPart(dirs, operation, true);
    });
  }
});
