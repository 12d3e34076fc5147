/**
 * `npm run soak -- --minutes N [--seed S] [--warm-vmms N] [--checkpoints]`: a daemon with VMs under everything at once, for
 * as long as you like.
 *
 * Round after round: operations next to a model, VMMs killed among them; every so often kills of the daemon
 * at places in the code and at any moment, and a disk or a tmpfs that is full. With `--checkpoints` rounds are longer: of
 * some sandboxes one is taken each second and thinned out soon, and they are rolled back. After each round everything
 * that the round made is removed, and what is taken then is noted. At the end all of it must be flat:
 * processes, descriptors, memory of the daemon, files in both tiers, length of the chains. Not the guests'
 * own disks: what a guest has once written stays taken, for there is no discard, up to its disk's size; that
 * is only told.
 *
 * The two tiers are tmpfs mounts of their own (root), so that they can be filled; without root nothing is
 * filled.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MiB, sleep } from '../../src/base/index.js';
import { sandboxPaths } from '../../src/sandbox/entity/paths.js';
import { readRecord } from '../../src/sandbox/entity/record.js';
import { filesBelow } from '../../src/store/index.js';
import { vmProcesses } from '../support/leftovers.js';
import { plantTemplate } from '../support/template-copy.js';
import { emptyFolders } from '../support/test-host.js';
import { leaveFree, mountTmpfs, noTmpfs } from '../support/tmpfs.js';
import { FaultLab } from './fault-lab.js';
import { HOST_FAILPOINTS, STORE_FAILPOINTS } from './failpoints.js';
import { HostModel } from './host-model.js';
import { HOST_OPERATIONS, TAG } from './host-operations.js';
import { POLL_MS } from './lab-daemon.js';
import { Seeded } from './seeded.js';

const MODEL_STEPS = 12;
/** A checkpoint lasts for longer than many a step. */
const MODEL_STEPS_WITH_CHECKPOINTS = 40;
const KILLS = 4;
/**
 * The daemon is killed in every so-manyth round only, so that it grows old enough to show what it does not
 * give back.
 */
const KILL_EVERY = 6;
const FILL_EVERY = 4;
const TIER_MIB = 4096;
/** Too little for a branch, enough to start something small. */
const FULL_MIB = 24;
/** How much more than after the first rounds may be taken at the end. */
const SLACK = {
  heapBytes: 16 << 20,
  residentBytes: 96 << 20,
  fds: 8,
  hotBytes: 64 << 20,
  stateBytes: 64 << 20,
};
const MOST_DISKS_IN_CHAIN = 18;
const LINE_DEADLINE_MS = 30_000;

/** What is taken when nothing goes on: only the source, the bystander and the template are there. */
interface Taken {
  readonly processes: number;
  readonly fds: number;
  readonly heapBytes: number;
  readonly residentBytes: number;
  readonly hotBytes: number;
  /** Without `guestBytes`. */
  readonly stateBytes: number;
  /** What the guests have written to their disks. */
  readonly guestBytes: number;
  readonly chain: number;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string' },
      seed: { type: 'string' },
      'warm-vmms': { type: 'string', default: '0' },
      checkpoints: { type: 'boolean', default: false },
    },
  });
  const minutes = Number(values.minutes ?? '10');
  if (!(minutes > 0)) throw new TypeError('--minutes must be a number above 0');
  const random = values.seed === undefined ? Seeded.fromEnvironment() : new Seeded(Number(values.seed));
  console.log(
    `soak: ${minutes} minutes, ${random.name}${noTmpfs === false ? '' : `; nothing is filled: ${noTmpfs}`}`,
  );
  const folders = await smallFolders();
  const lab = await FaultLab.open(folders, { warmVmms: Number(values['warm-vmms']) });
  const { checkpoints } = values;
  const counts = { rounds: 0, steps: 0, kills: 0, fills: 0, checkpoints: 0, rollbacks: 0 };
  const taken: Taken[] = [];
  const endMs = performance.now() + minutes * 60_000;
  try {
    while (performance.now() < endMs) {
      await round(lab, random, { checkpoints, counts });
      taken.push(await measure(lab));
      report(counts, taken.at(-1));
    }
  } finally {
    await lab.close();
  }
  return verdict(taken, counts);
}

/** What was done so far. */
type Counts = Record<'rounds' | 'steps' | 'kills' | 'fills' | 'checkpoints' | 'rollbacks', number>;

async function round(
  lab: FaultLab,
  random: Seeded,
  { checkpoints, counts }: { readonly checkpoints: boolean; readonly counts: Counts },
): Promise<void> {
  counts.rounds += 1;
  const killsDaemon = counts.rounds % KILL_EVERY === 0;
  const model = await HostModel.of(lab, random, { killsDaemon, checkpoints });
  const did: string[] = [];
  try {
    for (let steps = checkpoints ? MODEL_STEPS_WITH_CHECKPOINTS : MODEL_STEPS; steps > 0; steps--) {
      did.push(await model.step());
      counts.steps += 1;
    }
  } catch (error) {
    console.log(`after: ${did.join('; ')}`);
    throw error;
  }
  counts.checkpoints += model.checkpointsSeen;
  counts.rollbacks += model.rollbacks;
  await lab.clean();
  for (let kill = 0; killsDaemon && kill < KILLS; kill++) {
    await killSomewhere(lab, random);
    counts.kills += 1;
  }
  if (noTmpfs === false && counts.rounds % FILL_EVERY === 0) {
    for (const dir of [lab.folders.hotDir, lab.folders.stateDir]) await fill(lab, dir);
    counts.fills += 2;
  }
}

/**
 * Kills the daemon at a place picked by chance, or a moment later if the place is not reached. Not at those
 * of loading: a snapshot is read into memory anew only after its copy there was taken away, and the source
 * still has that copy.
 */
async function killSomewhere(lab: FaultLab, random: Seeded): Promise<void> {
  const places = [...HOST_FAILPOINTS, ...STORE_FAILPOINTS].flatMap(([place, cases]) =>
    cases
      .filter(({ operation }) => operation !== 'load')
      .flatMap(({ operation }) => {
        const found = HOST_OPERATIONS[operation];
        const isPossible = found?.run !== undefined && (found.warm !== true || lab.warmVmms > 0);
        return isPossible ? [{ place, name: operation, ...found }] : [];
      }),
  );
  const { place, name, prepare, run, alsoArm, others, verify } = random.pick(places);
  await prepare?.(lab);
  const passage = 1 + random.below(2);
  await lab.arm([...(alsoArm === undefined ? [] : [alsoArm]), `${place}:${passage}=abort`].join(','));
  await lab.outcome(run?.(lab) ?? Promise.resolve());
  await lab.kill();
  if (!(await lab.start())) throw new Error(`The daemon does not start: ${lab.log}`);
  try {
    await lab.settle({ tag: TAG, others, mayBeFailed: true, startChild: random.below(2) === 0 });
    await verify?.(lab);
  } catch (error) {
    console.log(`after a kill at passage ${passage} of ${place} in ${name}`);
    throw error;
  }
}

/** A full tier refuses a branch and does no harm; with room again it works. */
async function fill(lab: FaultLab, dir: string): Promise<void> {
  await lab.source.python('filler = bytearray(__import__("os").urandom(1 << 20)) * 100');
  let code = await branchIntoFull(lab, dir);
  if (code === undefined) {
    // Others had memory to let go of: lines of their own. They have none now.
    await lab.clean();
    code = await branchIntoFull(lab, dir);
  }
  if (code !== 'no_space') throw new Error(`A branch into a full ${dir} ended with ${code ?? 'success'}`);
  await leaveFree(dir, TIER_MIB);
  await lab.source.python('del filler');
  await lab.client.sandboxes.branch(lab.source.id, { tag: TAG, wait: 'durable' });
  await lab.settle({ tag: TAG, startChild: true });
}

async function branchIntoFull(lab: FaultLab, dir: string): Promise<string | undefined> {
  await leaveFree(dir, FULL_MIB);
  return lab.outcome(lab.client.sandboxes.branch(lab.source.id, { tag: TAG }));
}

/** Of a snapshot that is gone the daemon lets go at its next round: until then its source has its memory a second time. */
async function linesEnded(lab: FaultLab): Promise<void> {
  for (const { id } of [lab.source, lab.bystander]) {
    const path = sandboxPaths(lab.folders, id).record;
    for (let waitedMs = 0; (await readRecord(path)).line !== undefined; waitedMs += POLL_MS) {
      if (waitedMs > LINE_DEADLINE_MS) throw new Error(`The line of ${id} does not end`);
      await sleep(POLL_MS);
    }
  }
}

async function measure(lab: FaultLab): Promise<Taken> {
  await linesEnded(lab);
  const { stateDir, hotDir } = lab.folders;
  const { fds, heapBytes, residentBytes } = await lab.measure();
  const { disks } = await readRecord(sandboxPaths(lab.folders, lab.source.id).record);
  const ownFiles = (await filesBelow(join(stateDir, 'sandboxes'))).filter(({ links }) => links === 1);
  const guestBytes = ownFiles.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    processes: (await vmProcesses(hotDir)).length - (await lab.idleVmms()).length,
    ...{ fds, heapBytes, residentBytes },
    hotBytes: await bytesBelow(hotDir),
    stateBytes: (await bytesBelow(stateDir)) - guestBytes,
    guestBytes,
    chain: disks.length,
  };
}

async function bytesBelow(dir: string): Promise<number> {
  const files = new Map((await filesBelow(dir)).map(({ dev, ino, bytes }) => [`${dev}:${ino}`, bytes]));
  return [...files.values()].reduce((sum, bytes) => sum + bytes, 0);
}

const mib = (bytes: number): string => `${(bytes / MiB).toFixed(0)} MiB`;

function report(
  { rounds, steps, kills, fills, checkpoints, rollbacks }: Readonly<Counts>,
  taken: Taken | undefined,
): void {
  if (taken === undefined) return;
  const timelines = checkpoints > 0 ? `, ${checkpoints} checkpoints, ${rollbacks} rollbacks` : '';
  console.log(
    `round ${rounds}: ${steps} steps, ${kills} kills, ${fills} fills${timelines} | ${taken.processes} VMMs, ${taken.fds} fds, ` +
      `heap ${mib(taken.heapBytes)}, daemon ${mib(taken.residentBytes)}, hot ${mib(taken.hotBytes)}, ` +
      `disk ${mib(taken.stateBytes)}, guests ${mib(taken.guestBytes)}, chain ${taken.chain}`,
  );
}

/** Compares the worst round with the first one. */
function verdict(taken: readonly Taken[], counts: Readonly<Counts>): number {
  const [first, last] = [taken[0], taken.at(-1)];
  if (first === undefined || last === undefined) return 1;
  const grown = Object.entries(SLACK)
    .map(([what, slack]) => ({
      what,
      by:
        Math.max(...taken.map((each) => each[what as keyof typeof SLACK])) -
        first[what as keyof typeof SLACK],
      slack,
    }))
    .filter(({ by, slack }) => by > slack)
    .map(({ what, by }) => `${what} grew by ${by}`);
  if (last.processes !== first.processes) grown.push(`${last.processes} VMMs, ${first.processes} at first`);
  const longest = Math.max(...taken.map(({ chain }) => chain));
  if (longest > MOST_DISKS_IN_CHAIN) grown.push(`a chain of ${longest} disks`);
  console.log(
    `soak: ${JSON.stringify(counts)}, ${grown.length === 0 ? 'everything flat' : grown.join(', ')}`,
  );
  return grown.length === 0 ? 0 : 1;
}

/** Both tiers on small file systems of their own, the template in them. */
async function smallFolders(): ReturnType<typeof emptyFolders> {
  const folders = await emptyFolders('soak');
  const mounted = noTmpfs === false ? [folders.hotDir, folders.stateDir] : [];
  const unmounts: (() => Promise<void>)[] = [];
  for (const dir of mounted) unmounts.push(await mountTmpfs(dir, TIER_MIB));
  await plantTemplate(folders.stateDir, 'copied');
  const remove = async (): Promise<void> => {
    for (const unmount of unmounts) await unmount();
    await folders.remove();
  };
  return { ...folders, remove };
}

process.exitCode = await main();
