import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { armFailpoints, disarmFailpoints, firedFailpoints } from '../../src/base/index.js';
import { drawn } from '../support/drawn.js';
import { KILL_ONLY, PART_FAILPOINTS } from '../faults/failpoints.js';
import { checkOpenPart, checkPart, contextOver, PARTS } from '../faults/host-parts.js';
import { Seeded } from '../faults/seeded.js';
import { openIn, type StoreDirs } from '../faults/store-world.js';
import { WorldCopies } from '../faults/world-copies.js';

const CHILD = fileURLToPath(new URL('../faults/interrupted-part.js', import.meta.url));
const CHILD_DEADLINE_MS = 60_000;

const CASES = [...PART_FAILPOINTS].flatMap(([place, cases]) =>
  cases.map(({ operation, count }) => ({
    ...{ place, operation, count },
    name: `${place} in ${operation}${count === 1 ? '' : `, passage ${count}`}`,
  })),
);

describe('a part of the host that is interrupted', () => {
  let copies: WorldCopies;
  let dirs: StoreDirs;
  const random = Seeded.fromEnvironment();

  before(async () => {
    copies = await WorldCopies.open();
  });
  afterEach(async () => {
    disarmFailpoints();
    await copies.clean();
  });
  after(async () => {
    await copies.close();
    console.log(`# parts of the host: ${random.name}`);
  });

  const world = async (): Promise<void> => {
    dirs = await copies.make();
  };

  for (const { place, operation, count, name } of drawn(CASES, random)) {
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

  const errors = CASES.filter((each) => !KILL_ONLY.includes(each.place));
  for (const { place, operation, count, name } of drawn(errors, random)) {
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
