/** Text for people: tables, sizes, times. Numbers carry their unit and align to the right. */

import Table from 'cli-table3';

export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string | number | undefined;
  readonly align?: 'left' | 'right';
}

const noBorders = Object.fromEntries(
  [
    ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'],
    ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'],
  ]
    .flat()
    .map((part) => [part, '']),
);

/** A table without lines; an unknown value is `-`. Ends with a newline. */
export function formatTable<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const table = new Table({
    head: columns.map(({ title }) => title),
    colAligns: columns.map(({ align }) => align ?? 'left'),
    chars: { ...noBorders, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of rows) table.push(columns.map(({ value }) => oneLine(value(row))));
  return `${table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

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

// Names and reasons may come from a guest: no line ends or escape sequences reach the terminal.
function oneLine(value: string | number | undefined): string {
  // eslint-disable-next-line no-control-regex
  return value === undefined || value === '' ? '-' : String(value).replace(/[\x00-\x1f\x7f-\x9f]/g, '?');
}
