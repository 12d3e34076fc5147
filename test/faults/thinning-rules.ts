/** What the rules of a timeline mean, said another way than by which the collector follows them: of a collection that is over. */
import assert from 'node:assert/strict';
import type { Thinning } from '../../src/store/index.js';

/** More than any budget that matters. */
export const ROOM = Number.MAX_SAFE_INTEGER;

/** A checkpoint that goes by itself, as it was before the collection. */
export interface RuledPoint {
  readonly tag: string;
  readonly ageMs: number;
  readonly atUnixMs: number;
  /** Something needs it, or it is the newest: no rule takes it. */
  readonly isNeeded: boolean;
}

/** What a rule keeps is there, what none keeps is gone, and of each interval of a tier at least one is there. */
export function assertThinned(
  points: readonly RuledPoint[],
  { keep, maxBytes }: Thinning,
  gone: ReadonlySet<string>,
): void {
  // A budget takes any of them.
  if (maxBytes < ROOM) return;
  const slots = new Map<string, boolean>();
  for (const { tag, ageMs, atUnixMs, isNeeded } of points) {
    const tier = keep.find(({ withinSecs }) => ageMs <= withinSecs * 1000);
    if (tier === undefined) assert(isNeeded || gone.has(tag), `${tag} is there, which no rule keeps`);
    else if (tier.everySecs === undefined)
      assert(!gone.has(tag), `${tag} is gone, which is younger than ${tier.withinSecs} s`);
    else {
      const slot = `${tier.withinSecs}/${Math.floor(atUnixMs / tier.everySecs / 1000)}`;
      slots.set(slot, slots.get(slot) === true || !gone.has(tag));
    }
  }
  for (const [slot, isKept] of slots) assert(isKept, `of slot ${slot} none is there`);
}
