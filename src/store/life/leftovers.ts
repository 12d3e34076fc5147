/**
 * What is in the store's folders besides snapshots: what a removal that failed left behind, and what is in
 * quarantine.
 *
 * What has a temporary name belongs to work under way or is garbage. Drafts and loads are known to be under
 * way; of the rest the age tells, and judging that is up to the caller: deleting takes seconds.
 */
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errorCode, namesIn } from '../../base/index.js';
import { removeAll, type StoreContext } from '../context.js';
import { filesBelow, type CountedFile } from '../tier/counted-file.js';
import { READY_PREFIX, WRITING_PREFIX, type TierFolder } from '../tier/folders.js';

/** Something that is no snapshot. */
export interface Leftover {
  readonly kind: 'temporary' | 'quarantine';
  readonly path: string;
  /** When the folder itself was last changed, by the host's wall clock. */
  readonly changedUnixMs: number;
  readonly files: readonly CountedFile[];
}

/** Everything that no snapshot, draft or load owns. */
export async function findLeftovers(context: StoreContext): Promise<Leftover[]> {
  const owned = new Set([...context.underWay].map((path) => basename(path)));
  for (const entry of context.catalog.entries()) {
    if (entry.kind === 'failed') continue;
    owned.add(WRITING_PREFIX + entry.id).add(READY_PREFIX + entry.id);
  }
  const found: Leftover[] = [];
  for (const tier of [context.durable, context.hot]) {
    found.push(...(await inTier(tier, owned)));
  }
  return found;
}

async function inTier(tier: TierFolder, owned: ReadonlySet<string>): Promise<Leftover[]> {
  const temporary = (await namesIn(tier.snapshots)).filter(
    (name) => name.startsWith('.') && !owned.has(name),
  );
  const paths = [
    ...temporary.map((name) => ({ kind: 'temporary' as const, path: join(tier.snapshots, name) })),
    ...(await namesIn(tier.quarantine)).map((name) => ({
      kind: 'quarantine' as const,
      path: join(tier.quarantine, name),
    })),
  ];
  const found: Leftover[] = [];
  for (const { kind, path } of paths) {
    const changedUnixMs = await changedAt(path);
    if (changedUnixMs !== undefined) found.push({ kind, path, changedUnixMs, files: await filesBelow(path) });
  }
  return found;
}

/** Removes a leftover, files and all. */
export const removeLeftover = ({ path }: Pick<Leftover, 'path'>): Promise<void> => removeAll(path);

async function changedAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ctimeMs;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
