/** `60s:all,1h:1/min,1d:1/h`: which checkpoints stay, by age, on the command line; and a count of bytes. */

import { InvalidArgumentError } from 'commander';
import { duration } from './arguments.js';

/** As the API has it. */
export interface KeepTier {
  readonly within_secs: number;
  readonly every_secs?: number | undefined;
}

const intervals: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600, d: 86_400 };

/** Of those that are at most so old, all or one in an interval: `1/min`, or `1/5m`. */
export function keepArgument(text: string): KeepTier[] {
  return text.split(',').map((tier) => {
    const [within = '', every = '', ...rest] = tier.split(':');
    if (rest.length > 0 || every === '') throw notTiers();
    return { within_secs: duration(within), ...(every === 'all' ? {} : { every_secs: interval(every) }) };
  });
}

function interval(text: string): number {
  const unit = /^1\/(.+)$/.exec(text)?.[1];
  if (unit === undefined) throw notTiers();
  return intervals[unit] ?? duration(unit);
}

function notTiers(): InvalidArgumentError {
  return new InvalidArgumentError(
    'It must be ages with what stays of each, such as 60s:all,1h:1/min,1d:1/h.',
  );
}

/** The same back. */
export function keepText(tiers: readonly KeepTier[]): string {
  return tiers
    .map(
      ({ within_secs: within, every_secs: every }) =>
        `${within}s:${every === undefined ? 'all' : `1/${every}s`}`,
    )
    .join(',');
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** `4GiB`, `500MiB`, or bytes. */
export function byteCount(text: string): number {
  const [, count = '', unit = ''] = /^([0-9.]+)([KMGT]iB)?$/.exec(text) ?? [];
  const bytes = Math.round(Number(count) * (units[unit] ?? NaN));
  if (count === '' || !Number.isSafeInteger(bytes) || bytes < 1)
    throw new InvalidArgumentError('It must be a count of bytes, such as 500MiB or 4GiB.');
  return bytes;
}
