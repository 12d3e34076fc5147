import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { armFailpoints, disarmFailpoints, firedFailpoints } from '../../src/base/index.js';
import { drawn } from '../support/drawn.js';
import { KILL_ONLY, STORE_FAILPOINTS } from '../faults/failpoints.js';
import { Seeded } from '../faults/seeded.js';
import { checkOpenStore, checkStore, openIn, OPERATIONS, type StoreDirs } from '../faults/store-world.js';
import { WorldCopies } from '../faults/world-copies.js';

const CHILD = fileURLToPath(new URL('../faults/interrupted-store.js', import.meta.url));
const CHILD_DEADLINE_MS = 60_000;

interface Case {
  readonly place: string;
  readonly operation: string;
  readonly count: number;
}

const CASES: readonly Case[] = [...STORE_FAILPOINTS].flatMap(([place, cases]) =>
  cases.map((each) => ({ place, ...each })),
);
const nameOf = ({ place, operation, count }: Case): string =>
  `${place} in ${operation}${count === 1 ? '' : `, passage ${count}`}`;

describe('a store that is interrupted', () => {
  let copies: WorldCopies;
  let dirs: StoreDirs;
  let [kills, faults] = [0, 0];
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
    console.log(`# store: ${kills} kills survived, ${faults} other faults, none lost; ${random.name}`);
  });

  /** A copy of the world, made ready for the operation. */
  const world = async (operation: string): Promise<void> => {
    dirs = await copies.make();
    await OPERATIONS[operation]?.before?.(dirs);
  };

  const killed = CASES.filter(({ place }) => place !== 'copy.write');
  for (const each of drawn(killed, random)) {
    it(`killed at ${nameOf(each)} loses nothing and leaves nothing`, async () => {
      await world(each.operation);
      const { signal, output } = await runChild(dirs, each.operation, `${each.place}:${each.count}=abort`);
      assert.deepEqual({ signal, output }, { signal: 'SIGKILL', output: '' }, 'the place was not reached');
      kills += 1;
      await checkStore(dirs, each.operation);
    });
  }

  const errors = CASES.filter(
    ({ place, operation }) =>
      !KILL_ONLY.includes(place) && place !== 'copy.write' && OPERATIONS[operation]?.prepare !== undefined,
  );
  for (const code of ['ENOSPC', 'EIO']) {
    for (const each of drawn(errors, random)) {
      it(`${code} at ${nameOf(each)} fails the operation and nothing else`, async () => {
        await world(each.operation);
        const store = await openIn(dirs);
        try {
          await OPERATIONS[each.operation]?.prepare?.(dirs, store);
          armFailpoints(`${each.place}:${each.count}=errno:${code}`);
          await OPERATIONS[each.operation]?.run(dirs, store).catch(() => undefined);
          assert.deepEqual(firedFailpoints(), [each.place], 'the place was not reached');
          disarmFailpoints();
          faults += 1;
          await checkOpenStore(dirs, store, each.operation);
        } finally {
          await store.close();
        }
        await checkStore(dirs, each.operation);
      });
    }
  }

  for (const each of CASES.filter(({ place }) => place === 'copy.write')) {
    it(`a short write at ${nameOf(each)} is completed`, async () => {
      await world(each.operation);
      const store = await openIn(dirs);
      try {
        await OPERATIONS[each.operation]?.prepare?.(dirs, store);
        armFailpoints(`${each.place}:${each.count}=short`);
        await OPERATIONS[each.operation]?.run(dirs, store);
        assert.deepEqual(firedFailpoints(), [each.place], 'the place was not reached');
        faults += 1;
      } finally {
        await store.close();
      }
      await checkStore(dirs, each.operation);
    });
  }
});

async function runChild(
  dirs: StoreDirs,
  operation: string,
  failpoints: string,
): Promise<{ signal: NodeJS.Signals | null; output: string }> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify({ ...dirs, operation, failpoints })], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: CHILD_DEADLINE_MS,
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child, 'close');
  return { signal: child.signalCode, output };
}
