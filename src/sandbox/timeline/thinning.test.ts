import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_THINNING, thinnedOut, type ThinningPoint } from './thinning.js';

const LIVING = { keepNewest: true };
const ENOUGH = { ...DEFAULT_THINNING, maxBytes: Number.MAX_SAFE_INTEGER };
const NOW_MS = 1_700_000_000_000;

function point(ageSecs: number, more: Partial<ThinningPoint> = {}): ThinningPoint {
  const ageMs = ageSecs * 1000;
  return {
    name: `p${ageSecs}`,
    atMs: NOW_MS - ageMs,
    ageMs,
    bytes: 1,
    isHeld: false,
    isDurable: true,
    ...more,
  };
}

/** Numbers below 2^32 that are the same in every run. */
function* chance(seed: number): Generator<number, never> {
  for (let x = seed; ;) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    yield x;
  }
}

/** What stays of a timeline with a checkpoint at each of `atSecs`, which is thinned out now and then. */
function lived(atSecs: readonly number[], isLookedAt: (secs: number) => boolean): ThinningPoint[] {
  let points: ThinningPoint[] = [];
  const aged = (nowSecs: number): ThinningPoint[] =>
    points.map((each) => ({ ...each, ageMs: nowSecs * 1000 - each.atMs }));
  for (const secs of atSecs) {
    points.push({ name: `at${secs}`, atMs: secs * 1000, ageMs: 0, bytes: 1, isHeld: false, isDurable: true });
    if (!isLookedAt(secs)) continue;
    const going = thinnedOut(aged(secs), ENOUGH, LIVING);
    points = points.filter(({ name }) => !going.has(name));
  }
  return aged(atSecs.at(-1) ?? 0);
}

describe('the thinning of a timeline', () => {
  it('keeps all of the last minute, one a minute for an hour, one an hour for a day, and no older one', () => {
    const ages = [90_000, 86_000, 85_900, 3700, 3650, 130, 125, 70, 60, 30, 1];
    const going = thinnedOut(
      ages.map((age) => point(age)),
      ENOUGH,
      LIVING,
    );
    assert.deepEqual([...going.keys()], ['p90000', 'p85900', 'p3650', 'p125']);
    assert.equal(going.get('p90000'), 'it is older than any that is kept');
    assert.equal(going.get('p125'), 'of each 60 s one is kept, and there is one');
  });

  it('keeps the newest of a sandbox that is there, however old, and of no other', () => {
    const points = [point(200_000), point(100_000)];
    assert.deepEqual([...thinnedOut(points, ENOUGH, LIVING).keys()], ['p200000']);
    assert.deepEqual([...thinnedOut(points, ENOUGH, { keepNewest: false }).keys()], ['p200000', 'p100000']);
  });

  it('keeps the newest that would survive a power loss, where that is another', () => {
    const points = [4, 3, 2, 1].map((age) => point(age, { isDurable: age > 2 }));
    const going = (keep: typeof ENOUGH.keep, maxBytes = ENOUGH.maxBytes) => [
      ...thinnedOut(points, { keep, maxBytes }, LIVING).keys(),
    ];
    assert.deepEqual(going([{ withinSecs: 0.5 }]), ['p4', 'p2']);
    assert.deepEqual(going([{ withinSecs: 60 }], 1), ['p4', 'p2']);
    assert.deepEqual(going([{ withinSecs: 60, everySecs: 60 }]), ['p2']);
  });

  it('lets the oldest go for the budget, but not what is held, nor the newest', () => {
    const points = [3, 2, 1, 0].map((age) => point(age, { bytes: 10, isHeld: age === 2 }));
    const budget = (maxBytes: number) => [...thinnedOut(points, { ...ENOUGH, maxBytes }, LIVING).keys()];
    assert.deepEqual(
      [budget(40), budget(39), budget(20), budget(1)],
      [[], ['p3'], ['p3', 'p1'], ['p3', 'p1']],
    );
  });

  it('asked twice, lets nothing more go', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = chance(seed);
      const below = (limit: number): number => random.next().value % limit;
      const ages = new Set(Array.from({ length: 1 + below(80) }, () => below(below(2) ? 4000 : 100_000)));
      const points = [...ages]
        .sort((a, b) => b - a)
        .map((age) => point(age, { bytes: below(50), isHeld: below(9) === 0 }));
      const thinning = { ...ENOUGH, maxBytes: 1 + below(500) };
      const going = thinnedOut(points, thinning, LIVING);
      const stay = points.filter(({ name }) => !going.has(name));
      assert.deepEqual([...thinnedOut(stay, thinning, LIVING).keys()], [], `seed ${seed}`);
      const newest = points.at(-1);
      assert(newest !== undefined && stay.includes(newest), `seed ${seed}: the newest`);
      const bytes = stay.reduce((sum, each) => sum + each.bytes, 0);
      const isBound = stay.slice(0, -1).some(({ isHeld }) => !isHeld);
      assert(bytes <= thinning.maxBytes || !isBound, `seed ${seed}: ${bytes} over the budget`);
    }
  });

  it('leaves no gap and no crowd in a timeline of a checkpoint each second, whenever it is looked at', () => {
    for (const seed of [1, 2, 3]) {
      const random = chance(seed);
      const seconds = Array.from({ length: 3 * 3600 }, (_, index) => 1_000_000 + index);
      const points = lived(seconds, (secs) => secs === seconds.at(-1) || random.next().value % 20 === 0);
      const within = (from: number, to: number) =>
        points.filter(({ ageMs }) => ageMs > from * 1000 && ageMs <= to * 1000);
      assert.equal(within(-1, 60).length, 61, `seed ${seed}: all of the last minute`);
      const minutes = within(60, 3600);
      assert(minutes.length >= 59 && minutes.length <= 61, `seed ${seed}: ${minutes.length} of an hour`);
      for (const [index, { ageMs }] of minutes.slice(1).entries())
        assert((minutes[index]?.ageMs ?? 0) - ageMs <= 120_000, `seed ${seed}: a gap of more than a minute`);
      const hours = within(3600, 86_400);
      assert(hours.length >= 2 && hours.length <= 4, `seed ${seed}: ${hours.length} of two hours`);
    }
  });
});
