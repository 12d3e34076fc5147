/** Parsers for command line values. What they refuse is wrong usage, told before the daemon is asked. */

import { InvalidArgumentError } from 'commander';

/** A whole number within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

/** A number of seconds, decimals allowed. */
export function seconds(max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+(\.\d+)?$/.test(text) || value > max) {
      throw new InvalidArgumentError(`It must be a number of seconds, at most ${max}.`);
    }
    return value;
  };
}

const durationUnits = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;

/** A duration in seconds: `90`, `90s`, `10m`, `1h30m`, `7d`, `2w`. */
export function duration(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text) && Number(text) > 0) return Number(text);
  if (!/^(\d+[smhdw])+$/.test(text)) throw notADuration();
  const parts = [...text.matchAll(/(\d+)([smhdw])/g)];
  const secs = parts.reduce(
    (sum, [, count, unit]) => sum + Number(count) * durationUnits[unit as keyof typeof durationUnits],
    0,
  );
  if (secs === 0) throw notADuration();
  return secs;
}

/** As `duration`, or `never`. */
export function durationOrNever(text: string): number | 'never' {
  return text === 'never' ? text : duration(text);
}

function notADuration(): InvalidArgumentError {
  return new InvalidArgumentError('It must be a duration, such as 90s, 10m, 1h30m or 7d.');
}

/** Collects repeated `NAME=value` options into one record. */
export function keyValue(text: string, earlier: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be NAME=value.');
  return { ...earlier, [text.slice(0, at)]: text.slice(at + 1) };
}

/** A tag or an id. */
export function nameArgument(text: string): string {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(text)) {
    throw new InvalidArgumentError('It must be 1 to 64 letters, digits, "_" or "-".');
  }
  return text;
}

/** Like `nameArgument`, for a list of them. */
export function nameArguments(text: string, earlier: string[] = []): string[] {
  return [...earlier, nameArgument(text)];
}
