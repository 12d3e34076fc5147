/**
 * Numbers out of samples, by nearest rank: a percentile is always a value that was measured.
 *
 * A failed attempt is a sample too: it stays in the denominator and counts as slower than everything that was
 * measured. A percentile that falls on a failure is Infinity.
 */

/** What `n` attempts came to; `first` is the first one, which nothing had warmed up for. */
export interface Summary {
  readonly n: number;
  readonly failed: number;
  readonly first: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * The value at rank ceil(percent/100 × n) of the sorted samples; throws a TypeError for no samples or a
 * percent outside 0-100.
 */
export function percentile(samples: readonly number[], percent: number): number {
  if (!(percent >= 0 && percent <= 100)) throw new TypeError(`Not a percentage: ${percent}`);
  const sorted = samples.toSorted((a, b) => a - b);
  const value = sorted[Math.max(1, Math.ceil((percent / 100) * sorted.length)) - 1];
  if (value === undefined) throw new TypeError('No samples');
  return value;
}

/** The value in the middle, by nearest rank; throws a TypeError for no samples. */
export function median(samples: readonly number[]): number {
  return percentile(samples, 50);
}

/** Summarizes attempts in their order, undefined for a failed one; undefined if there were none. */
export function summarize(attempts: readonly (number | undefined)[]): Summary | undefined {
  if (attempts.length === 0) return undefined;
  const samples = attempts.map((value) => value ?? Infinity);
  return {
    n: attempts.length,
    failed: attempts.filter((value) => value === undefined).length,
    first: samples[0] ?? Infinity,
    p50: percentile(samples, 50),
    p90: percentile(samples, 90),
    p99: percentile(samples, 99),
    max: percentile(samples, 100),
  };
}
