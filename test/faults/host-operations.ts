/** Operations of a daemon that a test interrupts, each on the source of a `FaultLab`. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../src/base/index.js';
import { LINE_LIMIT } from '../../src/sandbox/branch/line.js';
import { CHAIN_LIMIT } from '../../src/sandbox/disk/fold.js';
import { sandboxPaths } from '../../src/sandbox/entity/paths.js';
import { readRecord, type SandboxRecord } from '../../src/sandbox/entity/record.js';
import type { Snapshot } from '../../src/sdk/index.js';
import { assertDiskFiles } from '../support/disk-files.js';
import { TEMPLATE_TAG } from '../support/test-host.js';
import type { FaultLab } from './fault-lab.js';

/** The tag that operations make or remove. */
export const TAG = 'interrupted';
/** Of branches before that one. */
const TAGS_BEFORE: readonly string[] = ['before', 'before-that'];

/** A fold of a few megabytes takes a tenth of it. */
const NOTED_MS = 200;
/** Where a fault may keep it from ending. */
const PATIENCE_MS = 1_000;
const FOLD_DEADLINE_MS = 30_000;

export interface HostOperation {
  /** Before anything is armed. */
  readonly prepare?: (lab: FaultLab) => Promise<unknown>;
  /** Between two daemons: then starting the second one is the operation. */
  readonly between?: (lab: FaultLab) => Promise<unknown>;
  readonly run?: (lab: FaultLab) => Promise<unknown>;
  /** Failpoints that the operation needs to get to the place at all. */
  readonly alsoArm?: string;
  /** Half done, it is neither here nor there until it is asked for again. */
  readonly againAtOnce?: boolean;
  /** What an error left behind, such as a folder with a temporary name, stays until the next start. */
  readonly leavesGarbage?: boolean;
  /** After everything was looked at and cleaned up: more to look at, of the source. */
  readonly verify?: (lab: FaultLab) => Promise<void>;
  /** Asking again after an interruption makes sense: it works, and nothing is there twice. */
  readonly again?: boolean;
  /** How many sandboxes it makes. */
  readonly sandboxes?: number;
  /** `prepare` leaves a snapshot with one of these tags. */
  readonly others?: readonly string[];
  /** The tag is given out before the snapshot is ready: then a failure is listed. */
  readonly mayBeFailed?: boolean;
  /** Which VMM it needs: `source`, or that of the child it starts. */
  readonly vmm?: 'source' | 'child';
  /** It needs a lab where VMMs stand ready. */
  readonly warm?: boolean;
  /** Places where a fault costs time, and nobody his answer. */
  readonly unharmedAt?: RegExp;
}

/** As a client sends it that asks again when there is no answer. */
const branch = ({ client, source, requestName }: FaultLab): Promise<unknown> =>
  client.sandboxes.branch(source.id, { tag: TAG }, { idempotencyKey: requestName });

const spawn = ({ client, requestName }: FaultLab): Promise<unknown> =>
  client.sandboxes.spawn({ snapshot_tag: TEMPLATE_TAG }, { idempotencyKey: requestName });

/** More than fits into a pause, so that the next branch switches overlays. */
const writeDisk = ({ source }: FaultLab): Promise<unknown> =>
  source.shell('head -c 1600000 /dev/urandom > /root/big && sync');

const extraSandbox = new WeakMap<FaultLab, { readonly id: string; readonly pid: number }>();

/** A lab where a VMM stands ready for a child of the template: its latest child was one, too, however that was started. */
async function standReady(lab: FaultLab): Promise<void> {
  const { id } = await lab.spawn();
  await lab.client.sandboxes.delete(id);
  await lab.idleVmms(1);
}

async function startExtra(lab: FaultLab): Promise<void> {
  const { id } = await lab.spawn();
  const { pid } = await lab.client.sandboxes.get(id);
  extraSandbox.set(lab, { id, pid: pid ?? 0 });
}

/** Quickly, in a guest that is emulated. */
const WRITE_MORE = 'f=/root/more-$$; yes $f | head -c 1200000 > $f && cksum $f >> /root/sums && sync';
const CHECK_SUMS =
  'echo 3 > /proc/sys/vm/drop_caches; cksum /root/more-* | sort > /tmp/now; sort /root/sums | cmp - /tmp/now';

/** Freezes the source's overlay, and forgets the snapshot. */
async function lengthenChain(lab: FaultLab): Promise<void> {
  await lab.source.shell(WRITE_MORE);
  await branch(lab);
}

const recordOf = ({ folders, source }: FaultLab): Promise<SandboxRecord> =>
  readRecord(sandboxPaths(folders, source.id).record);

const lineLength = async (lab: FaultLab): Promise<number> => (await recordOf(lab)).line?.layers.length ?? 0;

/** How long the line is when the record has the branch, which is answered before. */
async function lineAfter(lab: FaultLab, { dir }: Snapshot): Promise<number> {
  for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += 10) {
    const { lastBranchMemoryPath } = await recordOf(lab);
    if (lastBranchMemoryPath === join(dir, 'memory.bin')) return lineLength(lab);
    await sleep(10);
  }
  throw new Error(`The record does not name the branch in ${dir}`);
}

/** A source after whose next branch layers of its line are merged; of that only the latest snapshot is there. */
async function makeLongLine(lab: FaultLab): Promise<void> {
  const { client, source } = lab;
  await source.python("small = b'x' * 100000");
  let [tag = '', other = ''] = TAGS_BEFORE;
  let latest = await client.sandboxes.branch(source.id, { tag });
  while ((await lineAfter(lab, latest)) !== LINE_LIMIT - 1) {
    [tag, other] = [other, tag];
    latest = await client.sandboxes.branch(source.id, { tag });
    // Not the latest: the line ends with that.
    await client.snapshots.delete(other);
  }
}

/** Until the line is short, or has ended. */
async function untilMerged(lab: FaultLab): Promise<void> {
  for (let waitedMs = 0; waitedMs < PATIENCE_MS && (await lineLength(lab)) >= LINE_LIMIT; waitedMs += 10)
    await sleep(10);
}

/** A source whose chain is as long as it may be. */
async function makeLongChain(lab: FaultLab): Promise<void> {
  while ((await recordOf(lab)).disks.length < CHAIN_LIMIT - 1) {
    await lengthenChain(lab);
    await lab.client.snapshots.delete(TAG);
  }
}

/** True once the chain is short, false if it does not become so in time. */
async function isFolded(lab: FaultLab, deadlineMs: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < deadlineMs; waitedMs += 10) {
    if ((await recordOf(lab)).disks.length < CHAIN_LIMIT) {
      // What is on disk the daemon knows to be there only a moment later, and goes on then.
      await sleep(NOTED_MS);
      return true;
    }
    await sleep(10);
  }
  return false;
}

/**
 * The next branch folds what was left; nothing of the disk is lost, and no file is left of the chain of
 * before.
 */
async function verifyFold(lab: FaultLab): Promise<void> {
  await lengthenChain(lab);
  await lab.client.snapshots.delete(TAG);
  assert(await isFolded(lab, FOLD_DEADLINE_MS), 'the chain stays long');
  await lab.source.shell(CHECK_SUMS);
  await assertDiskFiles(sandboxPaths(lab.folders, lab.source.id).stateDir, await recordOf(lab));
}

export const HOST_OPERATIONS: Readonly<Record<string, HostOperation>> = {
  branch: { run: branch, again: true, vmm: 'source' },
  switch: { prepare: writeDisk, run: branch, again: true, vmm: 'source' },
  'broken-branch': { prepare: writeDisk, run: branch, again: true, alsoArm: 'branch.captured=error' },
  merge: {
    prepare: makeLongLine,
    run: async (lab) => {
      await branch(lab);
      await untilMerged(lab);
    },
    again: true,
    vmm: 'source',
    others: TAGS_BEFORE,
  },
  spawn: {
    run: spawn,
    again: true,
    sandboxes: 1,
    vmm: 'child',
  },
  // After it another is made ready.
  'warm-spawn': {
    prepare: standReady,
    run: spawn,
    again: true,
    sandboxes: 1,
    vmm: 'child',
    warm: true,
    // It is started without the one that stood ready; the last of them is of the one that is made ready after it.
    unharmedAt: /^spawn\.(folders-made|linked|overlay-made|mapped|loaded|started)$/,
    verify: standReady,
  },
  // What a spawn leaves to be made ready in its place.
  refill: {
    prepare: standReady,
    run: spawn,
    again: true,
    sandboxes: 1,
    vmm: 'child',
    warm: true,
    unharmedAt: /^warm\./,
    verify: standReady,
  },
  fork: {
    run: ({ client, source, requestName }) =>
      client.sandboxes.fork(source.id, { count: 2, tag: TAG }, { idempotencyKey: requestName }),
    again: true,
    sandboxes: 2,
    vmm: 'source',
  },
  remove: {
    prepare: startExtra,
    run: (lab) => lab.client.sandboxes.delete(extraSandbox.get(lab)?.id ?? ''),
    againAtOnce: true,
    again: true,
  },
  rollback: {
    prepare: branch,
    run: ({ client, source, requestName }) =>
      client.sandboxes
        .timeline(source.id)
        .rollback(TAG, { keep: false }, { idempotencyKey: `${requestName}-back` }),
    again: true,
    // Other operations look for its folders under its id.
    verify: async (lab) => {
      await lab.client.sandboxes.delete(lab.source.id);
      await lab.newSource();
    },
  },
  create: {
    run: ({ client }) => client.snapshots.create({ tag: TAG, image: 'python-numpy' }),
  },
  fold: {
    prepare: makeLongChain,
    run: async (lab) => {
      await lengthenChain(lab);
      await isFolded(lab, PATIENCE_MS);
    },
    leavesGarbage: true,
    verify: verifyFold,
  },
  adopt: { between: () => Promise.resolve() },
  'adopt-dead': {
    prepare: startExtra,
    between: async (lab) => {
      const { pid = 0 } = extraSandbox.get(lab) ?? {};
      process.kill(pid, 'SIGKILL');
      while (existsSync(`/proc/${pid}/exe`)) await sleep(5);
    },
  },

  // The store's operations, in a daemon with VMs.
  capture: {
    run: ({ client, source, requestName }) =>
      client.sandboxes.branch(source.id, { tag: TAG, wait: 'durable' }, { idempotencyKey: requestName }),
    again: true,
  },
  announced: {
    run: async ({ client, source, requestName }) => {
      await client.sandboxes.branch(source.id, { tag: TAG, wait: false }, { idempotencyKey: requestName });
      while ((await client.snapshots.get(TAG)).status === 'writing') await sleep(5);
    },
    again: true,
    mayBeFailed: true,
  },
  delete: {
    prepare: ({ client, source }) => client.sandboxes.branch(source.id, { tag: TAG, wait: 'durable' }),
    run: ({ client }) => client.snapshots.delete(TAG),
    leavesGarbage: true,
    again: true,
  },
  load: {
    prepare: async (lab) => {
      await lab.kill();
      await rm(join(lab.folders.hotDir, 'snapshots', TEMPLATE_TAG), { recursive: true, force: true });
      await lab.start();
    },
    run: (lab) => lab.spawn(),
  },
  restart: {
    prepare: async (lab) => {
      await lab.arm('persist.started=error');
      await lab.client.sandboxes.branch(lab.source.id, { tag: TAG });
    },
    between: () => Promise.resolve(),
  },
};
