/**
 * The collector: looks at what there is, plans, and removes; every minute by itself, and when someone asks.
 *
 * What is found to be in use only when it is removed is kept, with that reason. One run at a time: a second one waits. What nobody
 * owns goes when two clocks say that it is old: its time by the wall clock, and how long this daemon has seen it.
 */
import { join } from 'node:path';
import { stat } from 'node:fs/promises';
import pLimit from 'p-limit';
import { type Clock, errorCode, failpoint, hostClock, messageOf, namesIn } from '../../base/index.js';
import {
  filesBelow,
  removeLeftover,
  SnapshotInUse,
  SnapshotNotFound,
  type Leftover,
  type SnapshotView,
} from '../../store/index.js';
import { findRunningVmms } from '../../vmm/index.js';
import {
  planCollection,
  type CheckpointFact,
  type CollectionItem,
  type Facts,
  type LeftoverFact,
  type SnapshotFact,
} from './collection-plan.js';
import type { HostContext } from '../host/context.js';
import { removeSandboxFolders, sandboxesDir, sandboxPaths } from '../entity/paths.js';
import { checkpointAgeMs, SnapshotExpiry } from '../entity/retention.js';
import { Sightings } from './sightings.js';

/** What a run removed, or would. */
export interface CollectionReport {
  readonly dryRun: boolean;
  readonly removed: readonly CollectionItem[];
  /** What could go, were it not for the reason given. */
  readonly kept: readonly CollectionItem[];
  readonly freedBytes: number;
}

export class Collector {
  readonly #context: HostContext;
  readonly #clock: Clock;
  readonly #expiry: SnapshotExpiry;
  readonly #sightings: Sightings;
  readonly #oneRun = pLimit(1);

  constructor(context: HostContext, clock: Clock = hostClock) {
    this.#context = context;
    this.#clock = clock;
    this.#expiry = new SnapshotExpiry(clock);
    this.#sightings = new Sightings(clock);
    this.#expiry.begin(context.store.list());
  }

  /** Removes what may go, or with `dryRun` only says what that is. */
  run({ dryRun }: { readonly dryRun: boolean }): Promise<CollectionReport> {
    return this.#oneRun(async () => {
      const { remove, keep } = planCollection(await this.#facts());
      await failpoint('gc.planned');
      const removed: CollectionItem[] = [];
      const kept: CollectionItem[] = [...keep];
      for (const item of remove) {
        const problem = dryRun ? undefined : await this.#remove(item);
        if (problem === undefined) removed.push(item);
        else kept.push({ ...item, why: `${item.why}, but ${problem}` });
      }
      return {
        dryRun,
        removed,
        kept,
        freedBytes: removed.reduce((sum, { bytes }) => sum + bytes, 0),
      };
    });
  }

  /** Why it could not be removed, as a clause. */
  async #remove({ what, name, why, bytes }: CollectionItem): Promise<string | undefined> {
    const { store, tiers, emit } = this.#context;
    try {
      await failpoint('gc.removing');
      if (what === 'snapshot') await store.remove(name, { sandboxesOf: this.#context.sandboxes.namesOf });
      else if (what === 'sandbox-folder') await removeSandboxFolders(sandboxPaths(tiers, name));
      else await removeLeftover({ path: name });
    } catch (error) {
      if (error instanceof SnapshotNotFound) return undefined;
      if (error instanceof SnapshotInUse) return `it is in use by ${error.holders.join(', ')}`;
      emit('gc.not-removed', { what, name, err: error });
      return messageOf(error);
    }
    emit('gc.removed', { what, name, why, bytes });
    return undefined;
  }

  async #facts(): Promise<Facts> {
    const temporary = (await this.#context.store.leftovers()).map(this.#leftover);
    const found = [...temporary, ...(await this.#strayFolders())];
    this.#sightings.look(found.map(({ name }) => name));
    const leftovers = found.map((fact) => ({ ...fact, seenMs: this.#sightings.seenMs(fact.name) }));
    return { snapshots: await this.#snapshots(), leftovers };
  }

  async #snapshots(): Promise<SnapshotFact[]> {
    const { store } = this.#context;
    const views = store.list();
    this.#expiry.keepOnly(views);
    const facts: SnapshotFact[] = [];
    for (const view of views.filter(
      ({ status, retention }) => status === 'ready' && retention !== undefined,
    )) {
      try {
        facts.push({
          name: view.tag,
          source: view.branchedFrom,
          isDurable: view.durable,
          expiry: this.#expiry.stateOf(view),
          keepLast: view.retention?.keepLast,
          ordinal: view.retention?.ordinal ?? 0,
          checkpoint: this.#checkpoint(view),
          holders: store.holders(view.tag, { sandboxesOf: this.#context.sandboxes.namesOf }),
          files: await store.files(view.tag),
        });
      } catch (error) {
        if (!(error instanceof SnapshotNotFound)) throw error;
      }
    }
    return facts;
  }

  #checkpoint({ retention, branchedFrom }: SnapshotView): CheckpointFact | undefined {
    const { checkpoint } = retention ?? {};
    if (checkpoint?.thinning === undefined) return undefined;
    const source = this.#context.sandboxes.list().find(({ id }) => id === branchedFrom);
    // Its newest goes again if the rollback fails: then the one before is what an undo goes back to.
    if (source?.isRollingBack === true) return undefined;
    const { atUnixMs: atMs, thinning } = checkpoint;
    const isOfLiving = source !== undefined;
    return { atMs, thinning, isOfLiving, ageMs: checkpointAgeMs(checkpoint, this.#clock) };
  }

  readonly #leftover = ({ kind, path, changedUnixMs, files }: Leftover): Found => ({
    what: kind,
    name: path,
    ageMs: this.#clock.unixMs() - changedUnixMs,
    files,
    ...(kind === 'quarantine'
      ? { keptWhy: 'it is damaged and kept for a person to look at, who may remove it' }
      : {}),
  });

  /** Folders of sandboxes that this daemon neither has nor makes. */
  async #strayFolders(): Promise<Found[]> {
    const { tiers, sandboxes } = this.#context;
    const found = new Map<string, string[]>();
    for (const root of [tiers.stateDir, tiers.hotDir]) {
      for (const id of await namesIn(sandboxesDir(root))) {
        if (!sandboxes.owns(id)) found.set(id, [...(found.get(id) ?? []), join(sandboxesDir(root), id)]);
      }
    }
    if (found.size === 0) return [];
    const running = await findRunningVmms((name) => sandboxPaths(tiers, name).qmpSocket);
    return Promise.all(
      [...found].map(([id, paths]) =>
        this.#stray(
          id,
          paths,
          running.map(({ name }) => name),
        ),
      ),
    );
  }

  async #stray(id: string, paths: readonly string[], running: readonly string[]): Promise<Found> {
    const changed = await Promise.all(paths.map(changedUnixMs));
    return {
      what: 'sandbox-folder',
      name: id,
      ageMs: this.#clock.unixMs() - Math.max(...changed),
      files: (await Promise.all(paths.map(filesBelow))).flat(),
      ...(running.includes(id) ? { keptWhy: 'a VM runs in it' } : {}),
    };
  }
}

/** What lies about, before it is known for how long it has been seen. */
type Found = Omit<LeftoverFact, 'seenMs'>;

async function changedUnixMs(path: string): Promise<number> {
  try {
    return (await stat(path)).ctimeMs;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0;
    throw error;
  }
}
