/**
 * Several ways to the same thing, in turns, so that whatever the machine does meanwhile it does to all of them: how long each attempt took, and
 * how the ways compare.
 */
import { monotonicMs } from '../base/index.js';
import { failureWords } from './context.js';
import type { CsvValue } from './csv.js';
import { summaryCells, summaryColumns, type Cell, type TextTable } from './section.js';
import { summarize, type Summary } from './statistics.js';

/** An attempt; resolves with how many ms it took. */
export type Attempt = () => Promise<number>;

/** Ways by their names, in the order of their turns. */
export type Ways<W extends string> = Readonly<Record<W, Attempt>>;

/** One attempt: without its ms it failed. */
export interface Turn<W extends string> {
  readonly way: W;
  readonly round: number;
  readonly ms?: number;
  readonly error?: string;
}

const columns = ['way', 'round', 'ms', 'error'] as const;

/** How many ms `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = monotonicMs();
  await work();
  return monotonicMs() - began;
}

/** `rounds` attempts of each way. */
export async function inTurns<W extends string>(
  rounds: number,
  ways: Ways<W>,
  onRound: (round: number) => void = () => undefined,
): Promise<Turn<W>[]> {
  const turns: Turn<W>[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const [way, attempt] of Object.entries(ways) as [W, Attempt][])
      turns.push(await attemptIn({ way, round }, attempt));
    onRound(round);
  }
  return turns;
}

async function attemptIn<W extends string>(turn: Turn<W>, attempt: Attempt): Promise<Turn<W>> {
  try {
    return { ...turn, ms: await attempt() };
  } catch (error) {
    return { ...turn, error: failureWords(error) };
  }
}

/** What the attempts of one way came to; undefined if there were none. */
export function summaryOf<W extends string>(turns: readonly Turn<W>[], way: W): Summary | undefined {
  return summarize(turns.filter((turn) => turn.way === way).map(({ ms }) => ms));
}

/** A row for each way, with what `more` has to say of it. */
export function tableOf<W extends string>(
  title: string,
  turns: readonly Turn<W>[],
  more?: { readonly column: string; readonly cell: (summary: Summary) => Cell },
): TextTable {
  const rows = [...new Set(turns.map(({ way }) => way))].flatMap((way) => {
    const summary = summaryOf(turns, way);
    if (summary === undefined) return [];
    return [[way, ...(more === undefined ? [] : [more.cell(summary)]), ...summaryCells(summary)]];
  });
  const added = more === undefined ? [] : [more.column];
  return { title, columns: ['way', ...added, ...summaryColumns], rows };
}

export function csvOf(turns: readonly Turn<string>[]): {
  readonly columns: readonly string[];
  readonly rows: readonly Readonly<Record<string, CsvValue>>[];
} {
  return { columns, rows: turns.map((turn) => ({ ...turn })) };
}
