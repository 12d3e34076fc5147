/** One row of the pause benchmark, and the columns it can have. */
import type { CsvValue } from './csv.js';
import type { PauseMode } from './request.js';

/** Column of a row, field of the event, how it reads in the table, and how many of the field's units make one of the column's. */
export const pauseParts = [
  ['events_ms', 'eventsUs', 'STOP to RESUME', 1000],
  ['stop_ms', 'stopUs', 'stop', 1000],
  ['scan_ms', 'scanUs', 'scan', 1000],
  ['copy_ms', 'copyUs', 'copy', 1000],
  ['tail_ms', 'tailUs', 'disk', 1000],
  ['state_ms', 'stateUs', 'from the stop on', 1000],
  ['residue_pages', 'residuePages', 'residue pages', 1],
  ['armed_pages', 'armedPages', 'armed pages', 1],
] as const;

export const partColumns = pauseParts.map(([column]) => column);
export type PauseParts = Partial<Record<(typeof partColumns)[number], number>>;

export const pauseColumns = [
  'mode',
  'iteration',
  'http_round_trip_ms',
  'pause_ms',
  'memory_bin_bytes',
  'poll_until_ready_ms',
  'completion_ms',
  'memory_bin_physical_bytes',
  'captured_bytes',
  'durable',
  'guest_gap_ms',
  'echo_gap_ms',
  ...partColumns,
  'error',
] as const;

/** One branch. Fields that a mode does not have are absent; a failed one has `error`. */
export type PauseRow = { readonly mode: PauseMode; readonly iteration: number } & Readonly<
  Partial<Record<Exclude<(typeof pauseColumns)[number], 'mode' | 'iteration'>, CsvValue>>
>;
