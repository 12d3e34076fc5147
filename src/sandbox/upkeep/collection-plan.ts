/**
 * What the collector would remove and why: facts in, plan out. A dry run prints the plan, a real one carries it out.
 *
 * A snapshot goes when it has expired or when `keep_last` no longer keeps it, and never while something needs it: a running sandbox, a
 * lease, a snapshot that builds on it and stays. Checkpoints are thinned out by the rules of the newest. One that nobody gave a retention is not looked at. Anything else goes only when
 * nothing can own it any more; what is kept for a person to look at is listed and stays.
 */
import { freedBytes, type CountedFile, type Thinning } from '../../store/index.js';
import type { ExpiryState } from '../entity/retention.js';
import { thinnedOut } from '../timeline/thinning.js';

/** What goes or stays, and why. */
export interface CollectionItem {
  readonly what: 'snapshot' | 'temporary' | 'sandbox-folder' | 'quarantine';
  /** Tag of a snapshot, id of a sandbox whose folders these are, otherwise a path. */
  readonly name: string;
  /** A clause. */
  readonly why: string;
  /** What its removal frees; shared files count for the last user. */
  readonly bytes: number;
}

/** Something that might go. */
export interface Fact {
  readonly name: string;
  readonly files: readonly CountedFile[];
}

export interface SnapshotFact extends Fact {
  readonly source?: string | undefined;
  readonly isDurable: boolean;
  readonly expiry: ExpiryState;
  readonly keepLast?: number | undefined;
  /** Which branch of its source it is. */
  readonly ordinal: number;
  /** Where it stands on the timeline of its source, if that is thinned out. */
  readonly checkpoint?: CheckpointFact | undefined;
  /** What needs it, as `Store.holders` names it: `snapshot b`, `sandbox sb1`. */
  readonly holders: readonly string[];
}

/** A checkpoint that is not to stay for ever. */
export interface CheckpointFact {
  readonly atMs: number;
  readonly ageMs: number;
  readonly thinning: Thinning;
  /** Its source is there, so that an undo may want the newest. */
  readonly isOfLiving: boolean;
}

/** A folder that no snapshot and no sandbox owns. */
export interface LeftoverFact extends Fact {
  readonly what: Exclude<CollectionItem['what'], 'snapshot'>;
  /** Milliseconds since it was last changed, by the wall clock. */
  readonly ageMs: number;
  /** Milliseconds since this daemon first saw it, by the monotonic clock. */
  readonly seenMs: number;
  /** Why it stays whatever its age. */
  readonly keptWhy?: string | undefined;
}

export interface Facts {
  readonly snapshots: readonly SnapshotFact[];
  readonly leftovers: readonly LeftoverFact[];
}

/** In the order in which things can be removed: what builds on a snapshot comes before it. */
export interface CollectionPlan {
  readonly remove: readonly CollectionItem[];
  readonly keep: readonly CollectionItem[];
}

/** Younger leftovers may belong to work that is under way: the longest, a boot, is over in minutes. */
const LEFTOVER_AGE_MS = 3_600_000;

/** See the file's header. */
export function planCollection({ snapshots, leftovers }: Facts): CollectionPlan {
  const candidates = new Map<SnapshotFact, string>();
  const keep: Kept[] = [];
  const thinned = thinnedTimelines(snapshots);
  for (const fact of snapshots) {
    const verdict = judge(fact, snapshots, thinned);
    if (verdict === undefined) continue;
    if (verdict.goes) candidates.set(fact, verdict.why);
    else keep.push({ what: 'snapshot', fact, why: verdict.why });
  }
  const { free, needed } = withoutNeeded(candidates);
  const remove: Kept[] = [...free].map(([fact, why]) => ({ what: 'snapshot', fact, why }));
  for (const [fact, why] of needed) {
    keep.push({ what: 'snapshot', fact, why: `${why}, but it is in use by ${fact.holders.join(', ')}` });
  }
  for (const fact of leftovers) {
    const isYoung = Math.min(fact.ageMs, fact.seenMs) < LEFTOVER_AGE_MS;
    const why = fact.keptWhy ?? (isYoung ? 'it may belong to work under way' : undefined);
    if (why === undefined) {
      remove.push({ what: fact.what, fact, why: `nothing owns it, and it is ${ageText(fact.ageMs)} old` });
    } else {
      keep.push({ what: fact.what, fact, why });
    }
  }
  const removeBytes = freedBytes(remove.map(({ fact }) => fact));
  return {
    remove: remove.map(({ what, fact, why }, index) => item(what, fact, why, removeBytes[index])),
    keep: keep.map(({ what, fact, why }) => item(what, fact, why, freedBytes([fact])[0])),
  };
}

interface Kept {
  readonly what: CollectionItem['what'];
  readonly fact: Fact;
  readonly why: string;
}

/** Undefined for a snapshot that no rule speaks of. */
function judge(
  fact: SnapshotFact,
  all: readonly SnapshotFact[],
  thinned: ReadonlyMap<string, string>,
): { readonly goes: boolean; readonly why: string } | undefined {
  if (fact.expiry === 'expired') return { goes: true, why: 'it has expired' };
  const superseded = supersededWhy(fact, all) ?? thinned.get(fact.name);
  if (superseded !== undefined) return { goes: true, why: superseded };
  if (typeof fact.expiry === 'string') return undefined;
  const secs = Math.ceil(fact.expiry.heldMs / 1000);
  return {
    goes: false,
    why: `it has expired by a wall clock that may be wrong: looked at again in ${secs} s`,
  };
}

/** Why each checkpoint that may go does so. */
function thinnedTimelines(all: readonly SnapshotFact[]): Map<string, string> {
  const going = new Map<string, string>();
  for (const source of new Set(all.map((fact) => fact.source))) {
    const facts = all
      .flatMap((fact) => (fact.source === source && fact.checkpoint ? [{ ...fact, ...fact.checkpoint }] : []))
      .sort((a, b) => a.ordinal - b.ordinal || a.atMs - b.atMs);
    const newest = facts.at(-1);
    if (newest === undefined) continue;
    const bytes = freedBytes(facts);
    const points = facts.map(({ name, atMs, ageMs, isDurable, holders }, index) => ({
      ...{ name, atMs, ageMs, isDurable, bytes: bytes[index] ?? 0, isHeld: holders.length > 0 },
    }));
    const how = { keepNewest: newest.isOfLiving };
    for (const [name, why] of thinnedOut(points, newest.thinning, how)) going.set(name, why);
  }
  return going;
}

/** Only durable successors count: until then what is old may be all that survives a power loss. */
function supersededWhy(fact: SnapshotFact, all: readonly SnapshotFact[]): string | undefined {
  if (fact.keepLast === undefined || fact.source === undefined) return undefined;
  const siblings = all.filter(({ source, keepLast }) => source === fact.source && keepLast !== undefined);
  const newest = siblings.reduce((a, b) => (b.ordinal > a.ordinal ? b : a), fact);
  const keepLast = newest.keepLast ?? fact.keepLast;
  const newer = siblings.filter(({ ordinal, isDurable }) => isDurable && ordinal > fact.ordinal).length;
  return newer >= keepLast
    ? `sandbox ${fact.source} has ${newer} newer, and keep_last is ${keepLast}`
    : undefined;
}

/** Splits candidates by whether anything that stays needs them; those that are free, dependents first. */
function withoutNeeded(candidates: ReadonlyMap<SnapshotFact, string>): {
  free: Map<SnapshotFact, string>;
  needed: Map<SnapshotFact, string>;
} {
  // Its holders name all that build on a snapshot, however far: what builds on it has fewer of them.
  const free = new Map([...candidates].sort(([a], [b]) => a.holders.length - b.holders.length));
  const needed = new Map<SnapshotFact, string>();
  for (;;) {
    const going = new Set([...free.keys()].map(({ name }) => `snapshot ${name}`));
    const stays = [...free].filter(([{ holders }]) => !holders.every((holder) => going.has(holder)));
    if (stays.length === 0) return { free, needed };
    for (const [fact, why] of stays) {
      free.delete(fact);
      needed.set(fact, why);
    }
  }
}

const item = (what: CollectionItem['what'], { name }: Fact, why: string, bytes = 0): CollectionItem => ({
  what,
  name,
  why,
  bytes,
});

function ageText(ageMs: number): string {
  const hours = Math.floor(ageMs / 3_600_000);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}
