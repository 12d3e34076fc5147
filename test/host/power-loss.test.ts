import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { messageOf } from '../../src/base/index.js';
import { repeats } from '../support/drawn.js';
import { DiskHistory } from '../faults/power-loss.js';
import { Seeded } from '../faults/seeded.js';
import { checkStore, DONE_FOLDER, makeWorld, OPERATIONS, type StoreDirs } from '../faults/store-world.js';

/** Power losses tried for each operation, each at another moment, others in every run. */
const LOSSES = repeats(30);
const LOSSES_WITHOUT_SYNCS = 40;
const CHILD = fileURLToPath(new URL('../faults/interrupted-store.js', import.meta.url));
const SOURCE = fileURLToPath(new URL('../../../test/faults/power-loss.c', import.meta.url));
const CHILD_DEADLINE_MS = 60_000;

/** Operations that tell someone that something would survive: these must keep their word. */
const TRIED: readonly (readonly [operation: string, failpoints?: string])[] = [
  ...['capture', 'delete', 'compact', 'restart', 'quarantine', 'abandon'].map((each) => [each] as const),
  // The ancestor's layer cannot be linked into the new snapshot's folder.
  ['capture', 'file.linking:5=errno:EMLINK'],
];

describe('a store on a disk that loses power', () => {
  const folders: string[] = [];
  let library = '';
  let template: StoreDirs;
  let losses = 0;
  const random = Seeded.fromEnvironment();

  const folder = async (below: string): Promise<string> => {
    const made = await mkdtemp(join(below, 'bough-power-'));
    folders.push(made);
    return made;
  };

  before(async () => {
    library = join(await folder(tmpdir()), 'power-loss.so');
    await execa('cc', ['-std=gnu11', '-O2', '-fPIC', '-shared', '-o', library, SOURCE, '-ldl', '-pthread']);
    template = { stateDir: await folder(tmpdir()), hotDir: await folder('/dev/shm') };
    await makeWorld(template);
  });
  after(async () => {
    for (const each of folders) await rm(each, { recursive: true, force: true });
    console.log(`# power losses: ${losses} replayed, every snapshot old or new; ${random.name}`);
  });

  /** What the operation tells the disk, from the first change to the last. */
  const record = async (operation: string, failpoints = ''): Promise<{ initial: StoreDirs; log: Buffer }> => {
    const dirs = { stateDir: await folder('/dev/shm'), hotDir: await folder('/dev/shm') };
    await cp(template.stateDir, dirs.stateDir, { recursive: true });
    await OPERATIONS[operation]?.before?.(dirs);
    const initial = { ...dirs, stateDir: await folder('/dev/shm') };
    const before = await DiskHistory.of(dirs.stateDir);
    await before.replay(initial.stateDir, 0, random);
    const log = join(await folder(tmpdir()), 'log');
    const child = spawn(process.execPath, [CHILD, JSON.stringify({ ...dirs, operation, failpoints })], {
      env: {
        ...process.env,
        LD_PRELOAD: library,
        POWER_LOSS_ROOT: dirs.stateDir,
        POWER_LOSS_LOG: log,
        UV_USE_IO_URING: '0',
      },
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: CHILD_DEADLINE_MS,
    });
    await once(child, 'close');
    assert.equal(child.exitCode, 0);
    history = before;
    return { initial, log: await readFile(log) };
  };
  let history: DiskHistory;

  /** The store as it is after a power loss at that moment; memory is gone with the power. */
  const lose = async (operation: string, moment: number, chance: Seeded): Promise<void> => {
    const root = await mkdtemp('/dev/shm/bough-power-');
    const dirs = { stateDir: join(root, 'state'), hotDir: join(root, 'hot') };
    for (const each of Object.values(dirs)) await mkdir(each, { mode: 0o700 });
    try {
      await history.replay(dirs.stateDir, moment, chance);
      const present = await checkStore(dirs, operation);
      if (moment <= history.whenMade(DONE_FOLDER)) return;
      const { makes = [], removes = [], damaged } = OPERATIONS[operation] ?? {};
      for (const tag of makes) assert(present.includes(tag), `"${tag}" was called durable`);
      for (const tag of removes) assert(tag === damaged || !present.includes(tag), `"${tag}" was deleted`);
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  };

  for (const [operation, failpoints] of TRIED) {
    it(`during ${[operation, failpoints].join(' ').trim()} has every snapshot old or new`, async () => {
      const { log } = await record(operation, failpoints);
      history.add(log);
      for (let left = LOSSES; left > 0; left--) {
        const seed = random.below(2 ** 31);
        const chance = new Seeded(seed);
        const moment = chance.below(4) === 0 ? history.length : chance.below(history.length + 1);
        try {
          await lose(operation, moment, chance);
        } catch (error) {
          const where = `seed ${seed}, after ${moment} of ${history.length} changes`;
          throw new Error(`${where}: ${messageOf(error)}`, {
            cause: error,
          });
        }
        losses += 1;
      }
    });
  }

  it('would lose what is never synced: the test can tell', async () => {
    const { log } = await record('capture');
    history.add(log, { withoutSyncs: true });
    let lost = 0;
    for (let left = LOSSES_WITHOUT_SYNCS; left > 0; left--) {
      await lose('capture', history.length, random).catch(() => (lost += 1));
    }
    assert(lost > 0);
  });
});
