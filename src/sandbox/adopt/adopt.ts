/**
 * Taking over what an earlier daemon left: sandboxes whose VMM still runs, and VMMs nobody can use any more.
 *
 *   folder and record that names a process ─ it runs, answers ─▶ adopted, the record brought in line with the VM's disk
 *                                          ├ the same, but its pager is of another version ─▶ adopted, never branched
 *                                          ├ runs, cannot be  ─▶ unresponsive: tried again every few seconds, never killed for it
 *                                          └ it is gone       ─▶ failed: listed with the reason, until it is removed
 *   record without a process, or none                         ─▶ removed: nobody was ever told of that sandbox
 *   record that is damaged                                    ─▶ its folder goes into quarantine
 *   record of a sandbox that another folder has a later one of ─▶ removed: it was rolled back, and that was not quite over
 *   VMM with its sockets in our hot directory, not adopted    ─▶ killed
 *
 * Invariant: a process is killed only if it is QEMU with one of our sockets in its arguments, and the very one that was found.
 */
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { z } from 'zod';
import { compact, errorCode, failpoint, messageOf, MiB, namesIn } from '../../base/index.js';
import type { SnapshotView } from '../../store/index.js';
import { GuestEnded, Vmm, VmmGone, VmmStartFailed, type Cgroups, type RunningVmm } from '../../vmm/index.js';
import type { HostContext } from '../host/context.js';
import { foldIfLong } from '../disk/fold.js';
import { removeOtherLayers } from '../entity/own-layers.js';
import { removeSandboxFolders, sandboxesDir, sandboxPaths, type SandboxPaths } from '../entity/paths.js';
import { readRecord, writeRecord, type SandboxRecord } from '../entity/record.js';
import { reconcileDisk, removeOtherDisks } from '../disk/reconcile.js';
import { Sandbox } from '../entity/sandbox.js';
import { takeBackAll } from '../entity/lent-files.js';
import { letRead } from '../entity/vmm-files.js';
import { consoleOf, whyEnded } from '../entity/why-ended.js';
import { findVmms } from './state-folder.js';
import { outlived } from './generations.js';
import { removeUnfinishedFiles } from './unfinished.js';
import { connectPager, serialSocketsOf, type Vm } from '../entity/vm.js';

/** Adoptions at the same time: each may have to wait for a branch that is still under way in its VMM. */
const CONCURRENT_ADOPTIONS = 8;
/**
 * How long a daemon that starts waits for one VMM. QMP does not answer while a `diff` or `full` capture has the VM stopped, the
 * pager not before the branch of the daemon before is over; one that takes longer is waited for in the background.
 */
const AT_START: Patience = { qmpMs: 10_000, pagerMs: 20_000 };
/** When asked again. */
const LATER: Patience = { qmpMs: 1_000, pagerMs: 1_000 };

interface Patience {
  readonly qmpMs: number;
  readonly pagerMs: number;
}

/** A record and what it was found with. */
type Found = SandboxRecord & { readonly process: NonNullable<SandboxRecord['process']> };

/**
 * Fills the registry. Throws RecordTooNew for a record of a later version, or why a record cannot be read at the moment; then no
 * sandbox was touched.
 */
export async function adoptSandboxes(context: HostContext): Promise<void> {
  const ids = await sandboxIds(context);
  const records = new Map<string, SandboxRecord>();
  const unreadable = new Map<string, unknown>();
  for (const id of ids) {
    try {
      records.set(id, await readRecord(sandboxPaths(context.tiers, id).record));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') continue;
      if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
      unreadable.set(id, error);
    }
  }
  for (const [id, error] of unreadable) await quarantine(context, id, error);
  for (const id of outlived(records)) records.delete(id);
  countBranches(records, context.store.list());
  await removeUnfinishedFiles(context);
  await failpoint('adopt.read');
  const running = await findVmms(context.tiers);
  const isNoted = ({ name, pid, startTimeTicks }: RunningVmm): boolean => {
    const noted = records.get(name)?.process;
    return noted?.pid === pid && noted.startTimeTicks === startTimeTicks;
  };
  for (const vmm of running.filter((each) => !isNoted(each))) {
    context.emit('vmm.orphan-killed', { ...vmm });
    await Vmm.killOrphan(vmm).catch((err: unknown) => context.emit('vmm.orphan-left', { ...vmm, err }));
  }
  await failpoint('adopt.orphans-killed');
  await restoreNetworks(context, records);
  const limit = pLimit(CONCURRENT_ADOPTIONS);
  const taken = await Promise.all(ids.map((id) => limit(() => takeOver(context, id, records.get(id)))));
  for (const sandbox of taken) {
    if (sandbox === undefined) continue;
    context.sandboxes.add(sandbox);
    foldIfLong(context, sandbox);
  }
}

/** A branch is answered before the record has it: what the next is to be numbered after, its snapshots know as well. */
function countBranches(records: Map<string, SandboxRecord>, snapshots: readonly SnapshotView[]): void {
  const told = new Map<string, number>();
  for (const { branchedFrom = '', retention } of snapshots)
    told.set(branchedFrom, Math.max(told.get(branchedFrom) ?? 0, retention?.ordinal ?? 0));
  for (const [folder, record] of records) {
    const branchCount = Math.max(record.branchCount, told.get(record.id) ?? 0);
    records.set(folder, { ...record, branchCount });
  }
}

/** What runs goes on behind the gates it has, whether or not the egress has ended meanwhile. */
async function restoreNetworks(
  { tiers, networks }: HostContext,
  records: ReadonlyMap<string, SandboxRecord>,
): Promise<void> {
  for (const [id, record] of records) {
    if (record.network === undefined || record.failure !== undefined || !hasProcess(record)) continue;
    networks.adopt(sandboxPaths(tiers, id), record.network);
  }
  await networks.restore();
}

/** Tries again to adopt those that could not be; each becomes what it turns out to be, in the registry. */
export async function adoptUnresponsive(context: HostContext): Promise<void> {
  for (const silent of context.sandboxes.list()) {
    const { id, record, paths } = silent;
    if (!silent.takes('adopt') || !hasProcess(record)) continue;
    const found = await adoptOrBury(context, paths, record, LATER);
    if (found.state === 'unresponsive') continue;
    if (!silent.takes('adopt')) {
      await found.release();
      continue;
    }
    context.sandboxes.add(found);
    foldIfLong(context, found);
    context.emit('sandbox.answered', { id, state: found.state });
  }
}

/** Sandboxes that have a folder in either tier. */
async function sandboxIds({ tiers }: HostContext): Promise<string[]> {
  const found = new Set<string>();
  for (const root of [tiers.stateDir, tiers.hotDir]) {
    for (const name of await namesIn(sandboxesDir(root))) found.add(name);
  }
  return [...found];
}

/** Keeps a folder whose record cannot be read for a person to look at. */
async function quarantine({ tiers, emit }: HostContext, id: string, error: unknown): Promise<void> {
  const folder = join(tiers.stateDir, 'quarantine');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const kept = join(folder, `sandbox-${id}`);
  await rm(kept, { recursive: true, force: true });
  await rename(sandboxPaths(tiers, id).stateDir, kept);
  emit('sandbox.record-unreadable', { id, kept, err: error });
}

async function takeOver(
  context: HostContext,
  id: string,
  record: SandboxRecord | undefined,
): Promise<Sandbox | undefined> {
  const paths = sandboxPaths(context.tiers, id);
  if (!hasProcess(record)) {
    await removeSandboxFolders(paths);
    return undefined;
  }
  if (record.failure !== undefined) return asFailed(context, paths, record, record.failure);
  return adoptOrBury(context, paths, record, AT_START);
}

async function adoptOrBury(
  context: HostContext,
  paths: SandboxPaths,
  record: Found,
  patience: Patience,
): Promise<Sandbox> {
  const { pid } = record.process;
  try {
    const sandbox = await adopt(context, paths, record, patience);
    context.emit('sandbox.adopted', { id: record.id, pid });
    return sandbox;
  } catch (error) {
    if (error instanceof GuestEnded) {
      const known = { ...record, ...consoleOf(error.lastWords) };
      return asFailed(context, paths, known, whyEnded('gone', error.lastWords, ''));
    }
    if (error instanceof VmmGone || error instanceof VmmStartFailed)
      return asFailed(context, paths, record, 'its VMM ended while no daemon ran');
    // It may be stopped or busy, the disk may be full, it may have been started by another version: no reason to end it.
    if (patience === AT_START) context.emit('sandbox.unresponsive', { id: record.id, pid, err: error });
    return Sandbox.unresponsive(paths, record, {
      why: messageOf(error),
      seccomp: context.vmHost.qemu.seccomp,
      networks: context.networks,
    });
  }
}

const hasProcess = (record: SandboxRecord | undefined): record is Found => record?.process !== undefined;

async function adopt(
  { vmHost, emit, networks, cgroups }: HostContext,
  paths: SandboxPaths,
  record: Found,
  patience: Patience,
): Promise<Sandbox> {
  const vm = await connect(cgroups, paths, record, patience);
  try {
    await failpoint('adopt.connected');
    const current = { ...record, ...(await reconcileDisk(paths, record, vm.vmm.qmp)) };
    await failpoint('adopt.reconciled');
    // What was frozen while nobody noted it.
    if (vm.user !== undefined) for (const { path } of current.disks) await letRead(path, vm.user);
    await takeBackAll(paths);
    await writeRecord(paths.record, current);
    await removeOtherDisks(paths, current);
    await removeOtherLayers(paths, current);
    await failpoint('adopt.noted');
    const sandbox = Sandbox.running(paths, current, vm, {
      seccomp: vmHost.qemu.seccomp,
      emit,
      networks,
    });
    const { status } = await vm.vmm.qmp.execute('query-status');
    if (status === 'io-error') sandbox.noteStall();
    if (status === 'paused') {
      sandbox.notePause();
      sandbox.clock.foundStopped();
    }
    // It may have stood still since the last daemon listened.
    else sandbox.clock.set();
    return sandbox;
  } catch (error) {
    await vm.pager.close();
    await vm.vmm.release();
    throw error;
  }
}

/** Connects to the VMM and waits until the branch that may be under way in it is over. */
async function connect(
  cgroups: Cgroups,
  paths: SandboxPaths,
  { process, machine, memoryLimitMiB }: Found,
  patience: Patience,
): Promise<Vm> {
  const { pid, startTimeTicks, agentHostPort: port, user, namespaced } = process;
  const group =
    memoryLimitMiB === undefined
      ? undefined
      : await cgroups.find(paths.id, pid, memoryLimitMiB * MiB).catch(() => undefined);
  const vmm = await Vmm.adopt({
    group,
    ...{ name: paths.id, pid, startTimeTicks },
    qmpSocketPath: paths.qmpSocket,
    logPath: paths.qemuLog,
    deadlineMs: patience.qmpMs,
  });
  try {
    const pager = await connectPager(paths, patience.pagerMs);
    const agentAddress = port === undefined ? { path: paths.agentSocket } : { host: '127.0.0.1', port };
    const serialSockets = serialSocketsOf({ paths, machine });
    return { vmm, agentAddress, serialSockets, ...compact({ user, namespaced }), ...pager };
  } catch (error) {
    await vmm.release();
    throw error;
  }
}

/** Frees the memory of a VM that is gone; the record stays, with the reason. */
async function asFailed(
  context: HostContext,
  paths: SandboxPaths,
  record: Found,
  failure: string,
): Promise<Sandbox> {
  const { pid } = record.process;
  await rm(paths.hotDir, { recursive: true, force: true });
  await failpoint('adopt.freed');
  const failed = { ...record, failure };
  // Known again at the next start, should the disk be full.
  await writeRecord(paths.record, failed).catch((err: unknown) =>
    context.emit('sandbox.not-noted', { id: record.id, err }),
  );
  context.emit('sandbox.failed', { id: record.id, pid, reason: failure });
  return Sandbox.failed(paths, failed, context.networks);
}
