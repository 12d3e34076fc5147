/** From rows of the pause benchmark to tables and verdicts; pure. */
import { partsTable } from './pause-parts.js';
import type { PauseRow } from './pause-row.js';
import type { PauseMode } from './request.js';
import {
  formatRatio,
  limitVerdict,
  ratioOf,
  ratioVerdict,
  reached,
  summaryCells,
  summaryColumns,
  type TextTable,
  type Verdict,
} from './section.js';
import { summarize, type Summary } from './statistics.js';

type TimeColumn =
  'pause_ms' | 'events_ms' | 'http_round_trip_ms' | 'completion_ms' | 'guest_gap_ms' | 'echo_gap_ms';

const timeTitles: readonly [TimeColumn, string][] = [
  ['pause_ms', 'Pause window, ms'],
  ['http_round_trip_ms', 'HTTP round trip, ms'],
  ['completion_ms', 'From the request until it can be used, ms'],
  ['guest_gap_ms', 'Longest gap on the guest’s clock, ms'],
  ['echo_gap_ms', 'Longest TCP echo, ms'],
];

/** Percentiles of every time that was measured, the ratios of pauses, and where they go. */
export function pauseTables(
  modes: readonly PauseMode[],
  rows: readonly PauseRow[],
  probes: boolean,
): TextTable[] {
  const shown = probes ? timeTitles : timeTitles.filter(([column]) => !column.includes('gap'));
  const tables = shown.map(([column, title]) => timeTable(title, modes, rows, column));
  return [...tables, ratioTable(modes, rows), partsTable(modes, rows)].filter((table) => table !== undefined);
}

/** Summary of one mode's column; undefined if the mode has no such column or was not run. */
export function summaryOf(
  rows: readonly PauseRow[],
  mode: PauseMode,
  column: TimeColumn,
): Summary | undefined {
  const ofMode = rows.filter((row) => row.mode === mode);
  const isMeasured = ofMode.some((row) => row[column] !== undefined);
  if (!isMeasured) return undefined;
  return summarize(
    ofMode.map((row) => (row.error === undefined ? (row[column] as number | undefined) : undefined)),
  );
}

/** The numbers to hold for an idle guest, as far as the rows can tell. */
export function pauseVerdicts(rows: readonly PauseRow[]): Verdict[] {
  const live = summaryOf(rows, 'live-sync', 'pause_ms') ?? summaryOf(rows, 'live-async', 'pause_ms');
  const background = 'stock-background-snapshot';
  const completion = summaryOf(rows, background, 'completion_ms')?.p50;
  const sync = summaryOf(rows, 'live-sync', 'http_round_trip_ms')?.p50;
  const async = summaryOf(rows, 'live-async', 'http_round_trip_ms')?.p50;
  const events = summaryOf(rows, 'live-sync', 'events_ms') ?? summaryOf(rows, 'live-async', 'events_ms');
  return reached([
    ratioVerdict(
      'live pause p50 ≤ 1/30 of stock background-snapshot’s',
      live?.p50,
      summaryOf(rows, background, 'pause_ms')?.p50,
      1 / 30,
    ),
    ratioVerdict(
      'live pause p50 ≤ 1/200 of full’s',
      live?.p50,
      summaryOf(rows, 'full', 'pause_ms')?.p50,
      1 / 200,
    ),
    ratioVerdict(
      'live round trip p50, wait:true, ≤ 1/20 of stock background-snapshot’s time to completion',
      sync,
      completion,
      1 / 20,
    ),
    limitVerdict('live pause p50 < 2 ms', live?.p50, 2),
    limitVerdict('live pause p50 < 0.65 ms', live?.p50, 0.65),
    limitVerdict('STOP to RESUME p50 < 0.35 ms', events?.p50, 0.35),
    limitVerdict('live pause p99 < 8 ms', live?.p99, 8),
    limitVerdict('round trip p50, wait:true, < 60 ms', sync, 60),
    limitVerdict('round trip p50, wait:false, < 20 ms', async, 20),
  ]);
}

function timeTable(
  title: string,
  modes: readonly PauseMode[],
  rows: readonly PauseRow[],
  column: TimeColumn,
): TextTable {
  return {
    title,
    columns: ['mode', ...summaryColumns],
    rows: modes.flatMap((mode) => {
      const summary = summaryOf(rows, mode, column);
      return summary === undefined ? [] : [[mode, ...summaryCells(summary)]];
    }),
  };
}

/** How each mode's pause relates to the first live mode's. */
function ratioTable(modes: readonly PauseMode[], rows: readonly PauseRow[]): TextTable | undefined {
  const base = modes.find((mode) => mode.startsWith('live'));
  const live = base === undefined ? undefined : summaryOf(rows, base, 'pause_ms');
  if (base === undefined || live === undefined) return undefined;
  const others = modes.filter((mode) => mode !== base);
  return {
    title: `Pause of ${base} relative to the others`,
    columns: ['against', 'p50', 'p99'],
    rows: others.flatMap((mode) => {
      const other = summaryOf(rows, mode, 'pause_ms');
      return other === undefined
        ? []
        : [[mode, formatRatio(ratioOf(live.p50, other.p50)), formatRatio(ratioOf(live.p99, other.p99))]];
    }),
  };
}
