/** Rows as CSV (RFC 4180, but with plain line feeds). */

/** One cell; undefined is an empty one. */
export type CsvValue = string | number | boolean | undefined;

/** A header line and one line a row; numbers with at most four decimals. Ends with a line feed. */
export function formatCsv<K extends string>(
  columns: readonly K[],
  rows: readonly Readonly<Partial<Record<K, CsvValue>>>[],
): string {
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  return lines.map((cells) => `${cells.map(formatCell).join(',')}\n`).join('');
}

function formatCell(value: CsvValue): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return String(Math.round(value * 10_000) / 10_000);
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
