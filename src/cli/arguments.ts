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

const unitSecs = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;

/** A duration in seconds: `90` (seconds), `90s`, `1.5s`, `500ms`, `10m`, `1h30m`, `7d`, `2w`. */
export function duration(text: string): number {
  const secs = secondsIn(text);
  if (secs === undefined || secs === 0) throw notADuration();
  return secs;
}

/** The same, zero too, within a bound. */
export function durationUpTo(maxSecs: number): (text: string) => number {
  return (text) => {
    const secs = secondsIn(text);
    if (secs === undefined) throw notADuration();
    if (secs > maxSecs) throw new InvalidArgumentError(`It must be at most ${maxSecs}s.`);
    return secs;
  };
}

function secondsIn(text: string): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  if (!/^(\d+(\.\d+)?(ms|[smhdw]))+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/([\d.]+)(ms|[smhdw])/g)];
  return parts.reduce(
    (sum, [, count, unit]) => sum + Number(count) * unitSecs[unit as keyof typeof unitSecs],
    0,
  );
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

/** A sandbox's id or name. */
export function sandboxArgument(text: string): string {
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/.test(text)) {
    throw new InvalidArgumentError('It must be the id or the name of a sandbox.');
  }
  return text;
}

/** Like `sandboxArgument`, for a list of them. */
export function sandboxArguments(text: string, earlier: string[] = []): string[] {
  return [...earlier, sandboxArgument(text)];
}

/** A tag. */
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
