/**
 * Where a pause goes, as the daemon tells it of each branch. Only a daemon of the benchmark's own does.
 *
 * The parts lie within `pause_ms`; `events_ms` is another view of it: between QEMU's STOP and RESUME events.
 */
import type { EventFacts } from '../contract/index.js';
import { pauseParts, type PauseParts, type PauseRow } from './pause-row.js';
import type { PauseMode } from './request.js';
import { formatMs, type Cell, type TextTable } from './section.js';
import { median } from './statistics.js';

/** The parts of a pause that were measured. */
export function pausePartsOf(facts: EventFacts<'sandbox.pause-window'>): PauseParts {
  const values = pauseParts.flatMap(([column, field, , units]) => {
    const value = facts[field];
    // 0: QEMU did not tell.
    return typeof value === 'number' && !(column === 'events_ms' && value === 0)
      ? [[column, value / units]]
      : [];
  });
  return Object.fromEntries(values) as PauseParts;
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
    const cells = pauseParts.map(([column, , , units]) => {
      const value = medianOf(column);
      return value === undefined || units === 1 ? value : formatMs(value);
    });
    return [[mode, formatMs(medianOf('pause_ms') ?? Infinity), ...cells]];
  });
  if (lines.length === 0) return undefined;
  const columns = ['mode', 'pause', ...pauseParts.map(([, , title]) => title)];
  return { title: 'Where the pause goes, p50 of each part, ms', columns, rows: lines };
}
