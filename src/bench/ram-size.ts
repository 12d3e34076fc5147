/**
 * The pause may follow what the guest changed, not how much RAM it has: 4 GiB against 512 MiB, interleaved,
 * same dirty set.
 */
import { sleep } from '../base/index.js';
import type { Sandbox } from '../contract/index.js';
import { discard, freshTag, measureBranch, withSandbox, type BenchContext } from './context.js';
import { sandboxGuest } from './guest.js';
import { ratioVerdict, reached, summaryCells, summaryColumns, type Section } from './section.js';
import { summarize, type Summary } from './statistics.js';

const SIZES_MIB = [512, 4096] as const;
const DIRTY_MIB = 32;
const LIMIT = 2;
const SETTLE_MS = 300;

const columns = ['memory_mib', 'iteration', 'pause_ms', 'http_round_trip_ms', 'captured_bytes'] as const;

interface Row {
  readonly memory_mib: number;
  readonly iteration: number;
  readonly pause_ms: number;
  readonly http_round_trip_ms: number;
  readonly captured_bytes: number | undefined;
}

/**
 * Boots the image with both sizes, then branches them in turn, each time after rewriting the same amount of
 * memory.
 */
export async function benchRamSize(context: BenchContext): Promise<Section> {
  const tags = SIZES_MIB.map(() => freshTag());
  try {
    for (const [index, tag] of tags.entries()) {
      const memoryMiB = SIZES_MIB[index] ?? 0;
      context.say(`ram-size: booting with ${memoryMiB} MiB`);
      const request = { tag, image: context.image, memory_mib: memoryMiB };
      await context.client.snapshots.create(request, { signal: context.signal });
    }
    const [small = '', large = ''] = tags;
    const rows = await withSandbox(context, small, (smallOne) =>
      withSandbox(context, large, (largeOne) => branchInTurn(context, [smallOne, largeOne])),
    );
    return section(context, rows);
  } finally {
    for (const tag of tags) await discard(context, tag);
  }
}

async function branchInTurn(context: BenchContext, sources: readonly Sandbox[]): Promise<Row[]> {
  const guests = sources.map(({ id }) => sandboxGuest(context.client, id, context.signal));
  for (const guest of guests)
    await guest.eval(`globals().update(bench=np.zeros(${DIRTY_MIB} << 20, np.uint8))`);
  const rows: Row[] = [];
  for (let iteration = 1; iteration <= context.iterations; iteration++) {
    for (const [index, { id }] of sources.entries()) {
      await guests[index]?.eval(`bench.fill(${(iteration % 255) + 1})`);
      await sleep(SETTLE_MS, context.signal);
      const tag = freshTag();
      try {
        const branch = await measureBranch(context, id, { mode: 'live', wait: true, tag });
        rows.push({
          memory_mib: SIZES_MIB[index] ?? 0,
          iteration,
          pause_ms: branch.pauseMs,
          http_round_trip_ms: branch.httpRoundTripMs,
          captured_bytes: branch.snapshot.captured_bytes,
        });
      } finally {
        await discard(context, tag);
      }
    }
    context.say(`ram-size: iteration ${iteration} of ${context.iterations}`);
  }
  return rows;
}

function section(context: BenchContext, rows: readonly Row[]): Section {
  const pauses = SIZES_MIB.map((size) => summaryOf(rows, size));
  return {
    name: 'ram-size',
    title: '4 GiB of RAM against 512 MiB',
    conditions: [
      `image ${context.image}; the guest rewrites ${DIRTY_MIB} MiB before each branch, then is left alone for ${SETTLE_MS} ms`,
      `live, wait:true; n = ${context.iterations} of each size, interleaved, the first included`,
    ],
    tables: [
      {
        title: 'Pause window, ms',
        columns: ['RAM', ...summaryColumns],
        rows: SIZES_MIB.map((size, index) => {
          const summary = pauses[index];
          return [`${size} MiB`, ...(summary === undefined ? [] : summaryCells(summary))];
        }),
      },
    ],
    verdicts: reached([
      ratioVerdict(
        `pause p50 with 4 GiB ≤ ${LIMIT} × that with 512 MiB`,
        pauses[1]?.p50,
        pauses[0]?.p50,
        LIMIT,
      ),
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}

function summaryOf(rows: readonly Row[], size: number): Summary | undefined {
  return summarize(rows.filter((row) => row.memory_mib === size).map((row) => row.pause_ms));
}
