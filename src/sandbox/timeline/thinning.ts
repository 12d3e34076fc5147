/**
 * Which checkpoints of a timeline may go, by their age and by what they take. Pure.
 *
 *   now ◀── 60 s: all ──▶◀── 1 h: one a minute ──▶◀── 1 d: one an hour ──▶◀── older: none
 *
 * The idea: a tier cuts time into slots as long as its interval, by each checkpoint's own moment and not by its age, and keeps the first of
 * each slot. So the same one is kept however often this is asked, until it leaves the tier.
 *
 * Invariant: of a sandbox that is there its newest stays, whatever the rules and the budget say: an undo goes back to it. So does the newest
 * that is durable: after a power loss an undo goes back to that.
 */
import { GiB } from '../../base/index.js';
import type { Keep, Thinning } from '../../store/index.js';

/** For who does not say. */
export const DEFAULT_THINNING: Thinning = {
  keep: [{ withinSecs: 60 }, { withinSecs: 3600, everySecs: 60 }, { withinSecs: 86_400, everySecs: 3600 }],
  maxBytes: 4 * GiB,
};

export interface ThinningPoint {
  readonly name: string;
  /** Where it stands in time, by whatever clock it was taken. */
  readonly atMs: number;
  /** How long ago that is: the clock may have stepped since. */
  readonly ageMs: number;
  /** What its removal would free, once the older ones are gone. */
  readonly bytes: number;
  /** Something needs it: it takes part, and cannot go for the budget. */
  readonly isHeld: boolean;
  readonly isDurable: boolean;
}

/** Why each of those that may go does so, as a clause. `points` are of one sandbox, oldest first. */
export function thinnedOut(
  points: readonly ThinningPoint[],
  { keep, maxBytes }: Thinning,
  { keepNewest }: { readonly keepNewest: boolean },
): Map<string, string> {
  const staying = keepNewest ? [points.at(-1), points.findLast(({ isDurable }) => isDurable)] : [];
  const going = tooOld(points, keep);
  for (const point of staying) if (point !== undefined) going.delete(point.name);
  let bytes = points.reduce((sum, point) => sum + (going.has(point.name) ? 0 : point.bytes), 0);
  for (const point of points) {
    if (bytes <= maxBytes) break;
    if (going.has(point.name) || point.isHeld || staying.includes(point)) continue;
    going.set(point.name, `all checkpoints of its sandbox take more than ${maxBytes} bytes`);
    bytes -= point.bytes;
  }
  return going;
}

function tooOld(points: readonly ThinningPoint[], keep: readonly Keep[]): Map<string, string> {
  const going = new Map<string, string>();
  const tiers = [...keep].sort((a, b) => a.withinSecs - b.withinSecs);
  const taken = new Set<string>();
  for (const { name, atMs, ageMs } of points) {
    const tier = tiers.find(({ withinSecs }) => ageMs <= withinSecs * 1000);
    if (tier?.everySecs === undefined) {
      if (tier === undefined) going.set(name, 'it is older than any that is kept');
      continue;
    }
    const slot = `${tier.withinSecs}/${Math.floor(atMs / (tier.everySecs * 1000))}`;
    if (taken.has(slot)) going.set(name, `of each ${tier.everySecs} s one is kept, and there is one`);
    taken.add(slot);
  }
  return going;
}
