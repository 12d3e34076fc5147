/**
 * The line of a sandbox's live branches: what the next one goes on from, so that it captures what was written since and no more.
 *
 *   mapped layers ◀ own layer ◀ … ◀ own layer of the latest branch ◀ what the next branch captures
 *
 * The own layers are links of the sandbox's, beside those of the layers it has mapped, so it does not matter which snapshots of the
 * line are still there. Whether one may go on only the pager knows (native/pager/tracker.h): in any doubt it captures all that is private,
 * and a new line begins with that.
 *
 * A line is kept short in the background, while the guest runs and branches are made: its upper layers are merged into one, in a file of its
 * own, so that sizes fall by half at least from each layer to the next. What is small is then merged often and what is large seldom. The
 * merged layer takes the place of just those it was made of, between two branches; what branches have added above them stays above.
 *
 * Memory: the line holds what the sandbox has private a second time. It ends when the snapshot of its latest branch is gone, or
 * when memory is short.
 */
import { linkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { failpoint } from '../../base/index.js';
import type { PagerBranchRequest, PagerCapture, PagerPause } from '../../pager/index.js';
import type { Draft, LayerRef } from '../../store/index.js';
import type { HostContext } from '../host/context.js';
import { mergedFrom } from '../disk/merging.js';
import { layersDir } from '../entity/own-layers.js';
import type { Line, SandboxRecord } from '../entity/record.js';
import { letRead } from '../entity/vmm-files.js';
import type { Sandbox } from '../entity/sandbox.js';
import { layerBytes, type LayersBelow } from './lineage.js';

type OwnLayer = Line['layers'][number];

/** Own layers from which on the upper ones are merged. */
export const LINE_LIMIT = 5;
/**
 * Own layers from which on a branch waits for the merge. A merge of everything takes about as long as the first branch, in which later ones
 * would make ten layers; those that usually come, of what is small, end within two branches. And each layer is one more that a child has to map.
 */
export const LINE_HARD_LIMIT = 2 * LINE_LIMIT;

/** From so many on a merge lets no captures go first any more, so that it is usually over before a branch waits for it. */
const LINE_HURRY = 7;

/** The line, if its layers stand on what the branch is to stand on. */
export function lineOn({ line }: SandboxRecord, below: LayersBelow): Line | undefined {
  return line?.below === below.layers.length ? line : undefined;
}

/** As the pager takes it. */
export function pagerLine({ since, layers }: Line): NonNullable<PagerBranchRequest['goesOn']> {
  const ownRuns = layers.reduce((sum, { runs }) => sum + runs.length, 0);
  return { since, ownPaths: layers.map(({ path }) => path), ownRuns };
}

const lineLength = ({ line }: SandboxRecord): number => line?.layers.length ?? 0;

/** Merges layers of the line in the background until it is short, unless that is going on already. */
export function mergeIfLong(context: HostContext, sandbox: Sandbox): void {
  if (sandbox.merges.size === 0) sandbox.merges.add(mergeWhileLong(context, sandbox));
}

/** Before a branch, and not within it: a merge waits for its end. */
export async function makeRoomInLine(context: HostContext, sandbox: Sandbox): Promise<void> {
  while (sandbox.takes('branch') && lineLength(sandbox.record) >= LINE_HARD_LIMIT) {
    mergeIfLong(context, sandbox);
    await sandbox.merges.settled();
  }
}

async function mergeWhileLong(context: HostContext, sandbox: Sandbox): Promise<void> {
  while (sandbox.takes('merge') && lineLength(sandbox.record) >= LINE_LIMIT)
    await mergeUpper(context, sandbox);
}

/** Never rejects. A line that cannot be merged ends; one that ended meanwhile stays so. */
async function mergeUpper(context: HostContext, sandbox: Sandbox): Promise<void> {
  const { emit } = context;
  const own = sandbox.record.line?.layers ?? [];
  const parts = own.slice(mergedFrom(own.map((layer) => layerBytes([layer]))));
  const [merged] = await Promise.allSettled([mergedLayer(context, sandbox, parts)]);
  while (sandbox.isBranching) await sandbox.branchOver;
  // From here until the record has changed nothing else happens.
  const { line } = sandbox.record;
  const at = line?.layers.findIndex(({ path }) => path === parts[0]?.path) ?? -1;
  if (line === undefined || at < 0 || !sandbox.takes('merge')) {
    if (merged.status === 'fulfilled') await rm(merged.value.path, { force: true }).catch(() => undefined);
    return;
  }
  let shorter: Line | undefined;
  if (merged.status === 'fulfilled')
    shorter = { ...line, layers: line.layers.toSpliced(at, parts.length, merged.value) };
  else emit('sandbox.line-ended', { id: sandbox.id, err: merged.reason });
  await replaceLine(sandbox, shorter).catch((err: unknown) =>
    emit('sandbox.not-noted', { id: sandbox.id, err }),
  );
}

/** Whether somebody waits for a merge, or will soon: a branch, the sandbox's removal, or who needs the memory of a line that has ended. */
function isMergeAwaited(sandbox: Sandbox): boolean {
  const length = lineLength(sandbox.record);
  return !sandbox.takes('merge') || length === 0 || length >= LINE_HURRY;
}

/** One layer with what the parts hold; on failure none is left. */
async function mergedLayer(
  { store }: HostContext,
  sandbox: Sandbox,
  parts: readonly OwnLayer[],
): Promise<OwnLayer> {
  const isAwaited = (): boolean => isMergeAwaited(sandbox);
  const merged = recorded(await store.mergeLayers(parts, layersDir(sandbox.paths), isAwaited));
  try {
    await letReadOwn(sandbox, merged);
    await failpoint('line.merged');
    return merged;
  } catch (error) {
    await rm(merged.path, { force: true });
    throw error;
  }
}

/** What a branch has captured, as the sandbox keeps it. */
export interface Captured {
  readonly draft: Pick<Draft, 'id' | 'memoryPath'>;
  readonly pause: Pick<PagerPause, 'passes'>;
  readonly capture: Pick<PagerCapture, 'runs' | 'wentOn'>;
  readonly below: LayersBelow;
  readonly logicalBytes: number;
}

/**
 * The line that a branch leaves, with a link to its layer, before that is published. None after a capture whose pages nothing keeps
 * track of, or of a line that has ended meanwhile.
 */
export async function extendedLine(
  { emit }: HostContext,
  { id, paths, record }: Sandbox,
  { draft, pause, capture, below, logicalBytes }: Captured,
): Promise<Line | undefined> {
  const layers = capture.wentOn ? lineOn(record, below)?.layers : [];
  // Without a pass of the pre-copy nothing is armed, and nobody could go on from it.
  if (pause.passes === 0 || layers === undefined) return undefined;
  const path = join(layersDir(paths), ownLayerFile(draft));
  try {
    linkSync(draft.memoryPath, path);
  } catch (err) {
    emit('sandbox.line-ended', { id, err });
    return undefined;
  }
  await failpoint('line.linked');
  const own = recorded({ id: draft.id, path, runs: capture.runs, logicalBytes });
  return { since: draft.id, below: below.layers.length, layers: [...layers, own] };
}

/** Lets the pager, which runs as the VM's user, look at what the line has come by. */
export async function letReadOwn({ vm: { user } }: Sandbox, layer: OwnLayer | undefined): Promise<void> {
  if (user !== undefined && layer !== undefined) await letRead(layer.path, user);
}

/** In memory at once, then on disk; then the links of the line before that are not of this one go. */
export async function replaceLine(
  sandbox: Sandbox,
  line: Line | undefined,
  others: Partial<SandboxRecord> = {},
): Promise<void> {
  const before = sandbox.record.line?.layers ?? [];
  const noted = sandbox.update({ ...others, line });
  // Whatever becomes of the links, of which a next daemon removes those left.
  noted.catch(() => undefined);
  const kept = new Set(line?.layers.map(({ path }) => path));
  for (const { path } of before) if (!kept.has(path)) await rm(path, { force: true });
  await failpoint('line.replaced');
  await noted;
}

/** After a branch that failed: the pager has forgotten what came before it, and nobody can go on from what the line holds. */
export async function breakLine(sandbox: Sandbox, failed: Pick<Draft, 'id'>): Promise<void> {
  await rm(join(layersDir(sandbox.paths), ownLayerFile(failed)), { force: true });
  if (sandbox.record.line !== undefined) await replaceLine(sandbox, undefined);
}

/** Ends the line of a sandbox, unless a branch may be going on from it. Never rejects: a note of links that are gone does no harm. */
export async function endLine(sandbox: Sandbox): Promise<void> {
  if (sandbox.record.line === undefined || sandbox.isBranching) return;
  await replaceLine(sandbox, undefined).catch(() => undefined);
}

/** Ends every line, for want of memory. */
export async function endLines(sandboxes: HostContext['sandboxes']): Promise<void> {
  await Promise.all(sandboxes.list().map(endLine));
}

const ownLayerFile = ({ id }: Pick<Draft, 'id'>): string => `${id}.bin`;

function recorded({ runs, ...layer }: LayerRef): OwnLayer {
  return { ...layer, runs: runs.map(([at, length]) => [at, length]) };
}
