/** Sizes and times as text for people, each with its unit. */

/** Binary units with one decimal: `1.5 GiB`. */
export function formatBytes(bytes: number | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** `1.25 ms`, or seconds from 1000 ms on. */
export function formatMs(milliseconds: number | undefined): string | undefined {
  if (milliseconds === undefined) return undefined;
  return milliseconds >= 1000 ? `${(milliseconds / 1000).toFixed(2)} s` : `${milliseconds.toFixed(2)} ms`;
}

/** Time since `unixSeconds` in its largest unit: `42s`, `3m`, `5h`, `2d`. */
export function formatAge(unixSeconds: number, nowMs: number = Date.now()): string {
  return formatDuration(nowMs / 1000 - unixSeconds);
}

/** Time until `unixSeconds`, likewise; `now` once it has come. */
export function formatUntil(unixSeconds: number | undefined, nowMs: number = Date.now()): string | undefined {
  if (unixSeconds === undefined) return undefined;
  const left = unixSeconds - nowMs / 1000;
  return left <= 0 ? 'now' : `in ${formatDuration(left)}`;
}

/** A duration in its largest unit, rounded down. */
export function formatDuration(secs: number): string {
  const seconds = Math.max(0, Math.floor(secs));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
