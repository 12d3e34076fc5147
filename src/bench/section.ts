/**
 * What one benchmark has to say, and how it is printed: tables, and promises that were held or missed.
 *
 * Ratios within one run decide: they mean the same on a fast and on a slow machine. Milliseconds are for
 * orientation and are marked so; they never decide about an exit code.
 */
import { formatTable } from '../base/table.js';
import type { CsvValue } from './csv.js';
import type { Summary } from './statistics.js';

export type Cell = string | number | undefined;

export interface TextTable {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** One promise against what was measured. */
export interface Verdict {
  readonly promise: string;
  /** With its unit; Infinity where it failed. */
  readonly measured: string;
  readonly held: boolean;
  /** False for milliseconds: they are for orientation. */
  readonly decides: boolean;
}

/** The result of one benchmark. */
export interface Section {
  readonly name: string;
  readonly title: string;
  /** What the numbers are of: RAM, dirty memory, disk, what the guest did. */
  readonly conditions: readonly string[];
  readonly tables: readonly TextTable[];
  readonly verdicts: readonly Verdict[];
  readonly csv: {
    readonly columns: readonly string[];
    readonly rows: readonly Readonly<Record<string, CsvValue>>[];
  };
}

/** A verdict on `numerator / denominator`, which may be at most `limit`; undefined if either is unknown. */
export function ratioVerdict(
  promise: string,
  numerator: number | undefined,
  denominator: number | undefined,
  limit: number,
): Verdict | undefined {
  if (numerator === undefined || denominator === undefined) return undefined;
  const ratio = ratioOf(numerator, denominator);
  return { promise, measured: formatRatio(ratio), held: ratio <= limit, decides: true };
}

/** `numerator / denominator`; NaN if either failed, because a failed yardstick proves nothing. */
export function ratioOf(numerator: number, denominator: number): number {
  return Number.isFinite(numerator) && Number.isFinite(denominator) ? numerator / denominator : NaN;
}

/** A verdict for orientation on a time; undefined if it is unknown. */
export function limitVerdict(
  promise: string,
  measuredMs: number | undefined,
  limitMs: number,
): Verdict | undefined {
  if (measuredMs === undefined) return undefined;
  const measured = Number.isFinite(measuredMs) ? `${formatMs(measuredMs)} ms` : 'failed';
  return { promise, measured, held: measuredMs < limitMs, decides: false };
}

/** Heads of `summaryCells`. */
export const summaryColumns = ['n', 'failed', 'first', 'p50', 'p90', 'p99', 'max'] as const;

/** A summary of times in ms as cells of a row. */
export function summaryCells({ n, failed, first, p50, p90, p99, max }: Summary): Cell[] {
  return [n, failed, ...[first, p50, p90, p99, max].map(formatMs)];
}

/** The verdicts that could be reached. */
export function reached(verdicts: readonly (Verdict | undefined)[]): Verdict[] {
  return verdicts.filter((verdict) => verdict !== undefined);
}

/** `1/25.0` below one, `1.30` above. */
export function formatRatio(ratio: number): string {
  if (!Number.isFinite(ratio)) return 'failed';
  return ratio > 0 && ratio < 1 ? `1/${(1 / ratio).toFixed(1)}` : ratio.toFixed(2);
}

/** Milliseconds as text without their unit, three significant digits; `failed` for Infinity. */
export function formatMs(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return 'failed';
  return milliseconds >= 100 ? milliseconds.toFixed(0) : milliseconds.toPrecision(3);
}

export function verdictWord({ held, decides }: Verdict): string {
  return `${held ? 'held' : 'missed'}${decides ? '' : ' (orientation)'}`;
}

function verdictTable(verdicts: readonly Verdict[]): TextTable {
  return {
    title: 'Promises',
    columns: ['promise', 'measured', 'verdict'],
    rows: verdicts.map((verdict) => [verdict.promise, verdict.measured, verdictWord(verdict)]),
  };
}

/** The section for a terminal. */
export function sectionText(section: Section): string {
  const tables = tablesOf(section).map(
    ({ title, columns, rows }) =>
      `${title}\n${formatTable(
        rows,
        columns.map((column, index) => ({
          title: column,
          value: (row: readonly Cell[]) => row[index],
          align: index === 0 ? 'left' : 'right',
        })),
      )}`,
  );
  return [`${section.title}\n${section.conditions.map((line) => `  ${line}\n`).join('')}`, ...tables].join(
    '\n',
  );
}

/** The section as Markdown. */
export function sectionMarkdown(section: Section): string {
  const conditions = section.conditions.map((line) => `* ${line}\n`).join('');
  const tables = tablesOf(section).map(({ title, columns, rows }) => {
    const lines = [columns, columns.map((_, index) => (index === 0 ? '---' : '---:')), ...rows];
    return `**${title}**\n\n${lines.map((cells) => `| ${cells.map(markdownCell).join(' | ')} |\n`).join('')}`;
  });
  return [`## ${section.title}\n\n${conditions}`, ...tables].join('\n');
}

function tablesOf({ tables, verdicts }: Section): TextTable[] {
  return verdicts.length === 0 ? [...tables] : [...tables, verdictTable(verdicts)];
}

function markdownCell(value: Cell): string {
  return value === undefined ? '' : String(value).replaceAll('|', '\\|');
}
