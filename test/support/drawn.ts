/**
 * Long lists of cases are tried in parts: each run has one part of `PARTS`, which its seed says, so that as many seeds in a row try every
 * case. With `BOUGH_TEST_ALL=1` a run tries all.
 */
const PARTS = 3;
const takesAll = process.env['BOUGH_TEST_ALL'] === '1';

/** Of a list of cases those of this run, in their order. */
export function drawn<T>(cases: readonly T[], { seed }: { readonly seed: number }): readonly T[] {
  return takesAll ? cases : cases.filter((_, at) => at % PARTS === seed % PARTS);
}

/** How often this run repeats what a whole one does `count` times. */
export const repeats = (count: number): number => (takesAll ? count : Math.ceil(count / PARTS));
