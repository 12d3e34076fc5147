/**
 * Where a pause goes, as the daemon logs it of each branch. Only a daemon of the benchmark's own shows its log.
 *
 * The parts lie within `pause_ms`; `events_ms` is another view of it: between QEMU's STOP and RESUME events.
 */
import type { PauseRow } from './pause.js';
import type { PauseMode } from '../cli/bench-request.js';
import { formatMs, type Cell, type TextTable } from './section.js';
import { median } from './statistics.js';

/** Column of a row, field of the log line, how it reads in the table, and how many of the field's units make one of the column's. */
const parts = [
  ['events_ms', 'eventsUs', 'STOP to RESUME', 1000],
  ['stop_ms', 'stopUs', 'stop', 1000],
  ['scan_ms', 'scanUs', 'scan', 1000],
  ['copy_ms', 'copyUs', 'copy', 1000],
  ['tail_ms', 'tailUs', 'disk', 1000],
  ['state_ms', 'stateUs', 'devices, run', 1000],
  ['residue_pages', 'residuePages', 'residue pages', 1],
  ['armed_pages', 'armedPages', 'armed pages', 1],
] as const;

export const partColumns = parts.map(([column]) => column);
export type PauseParts = Partial<Record<(typeof partColumns)[number], number>>;

/** Reads a line of the daemon's log: the tag that was branched and the parts of its pause; undefined for any other line. */
export function pausePartsOf(line: string): { tag: string; parts: PauseParts } | undefined {
  if (!line.includes('"sandbox.pause-window"')) return undefined;
  const facts = JSON.parse(line) as Record<string, unknown>;
  const values = parts.flatMap(([column, field, , units]) => {
    const value = facts[field];
    // 0: QEMU did not tell.
    return typeof value === 'number' && !(column === 'events_ms' && value === 0)
      ? [[column, value / units]]
      : [];
  });
  return { tag: String(facts['tag']), parts: Object.fromEntries(values) as PauseParts };
}

/** The median of each part for each mode; undefined when no row has any. */
export function partsTable(modes: readonly PauseMode[], rows: readonly PauseRow[]): TextTable | undefined {
  const lines = modes.flatMap((mode): Cell[][] => {
    const ofMode = rows.filter((row) => row.mode === mode && row.stop_ms !== undefined);
    if (ofMode.length === 0) return [];
    const medianOf = (column: keyof PauseRow): number | undefined => {
      const values = ofMode.map((row) => row[column]).filter((value) => typeof value === 'number');
      return values.length === 0 ? undefined : median(values);
    };
    const cells = parts.map(([column, , , units]) => {
      const value = medianOf(column);
      return value === undefined || units === 1 ? value : formatMs(value);
    });
    return [[mode, formatMs(medianOf('pause_ms') ?? Infinity), ...cells]];
  });
  if (lines.length === 0) return undefined;
  const columns = ['mode', 'pause', ...parts.map(([, , title]) => title)];
  return { title: 'Where the pause goes, p50 of each part, ms', columns, rows: lines };
}
