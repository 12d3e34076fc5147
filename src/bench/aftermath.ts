/**
 * What a guest pays after a live branch, when its pages are protected and its nested page table may be gone: a guest that mostly reads is watched
 * by KVM's count of nested faults, one that rewrites its memory by what it gets done in the second before and in the second after.
 *
 * Work is counted in the guest and timed by the host: the guest's clock stands still in a pause.
 */
import type { Sandbox, Snapshot } from '../contract/index.js';
import { monotonicMs, sleep } from '../base/index.js';
import {
  discard,
  failureWords,
  freshTag,
  measureBranch,
  untilDurable,
  withSandbox,
  type BenchContext,
} from './context.js';
import { countingRewriterProgram, startProgram } from './guest-programs.js';
import { sandboxGuest, type Guest } from './guest.js';
import { nestedFaults } from './nested-faults.js';
import {
  ratioVerdict,
  reached,
  summaryCells,
  summaryColumns,
  type Section,
  type TextTable,
} from './section.js';
import { summarize, type Summary } from './statistics.js';
import { timed } from './turns.js';

const READ_MIB = 200;
/** Between two branches: far more than a guest writes to answer, each page of which is a fault too. */
const CHANGED_MIB = 16;
const REWRITTEN_MIB = 256;
const WINDOW_MS = 1_000;
const PAGE_BYTES = 4096;
const COUNTER = '/dev/shm/bough-bench-rewritten';
const MOST_FAULTS = 1.2;
/** The reciprocal of 0.9 of the work of the second before. */
const MOST_SLOWED = 1 / 0.9;

const columns = [
  'guest',
  'branch',
  'captured_pages',
  'nested_faults',
  'read_before_ms',
  'read_after_ms',
  'mib_per_second_before',
  'mib_per_second_after',
  'error',
] as const;

/** Of the first branch of a sandbox and of later ones; what could not be measured is missing. */
interface Row {
  readonly guest: 'reads' | 'rewrites';
  readonly branch: number;
  readonly captured_pages?: number;
  readonly nested_faults?: number;
  readonly read_before_ms?: number;
  readonly read_after_ms?: number;
  readonly mib_per_second_before?: number;
  readonly mib_per_second_after?: number;
  readonly error?: string;
}

/** `iterations` branches of each guest. */
export async function benchAftermath(context: BenchContext): Promise<Section> {
  const { client, signal } = context;
  const reads = await withSandbox(context, context.sourceTag, async (sandbox) => {
    const guest = sandboxGuest(client, sandbox.id, signal);
    await guest.eval(`globals().update(memory=np.ones(${READ_MIB} << 17))`);
    await readAll(guest);
    return branches(context, 'reads', (branch, tag) =>
      measureReads(context, sandbox, guest, { branch, tag }),
    );
  });
  const rewrites = await withSandbox(context, context.sourceTag, async ({ id }) => {
    const guest = sandboxGuest(client, id, signal);
    await startProgram(guest, countingRewriterProgram, REWRITTEN_MIB, COUNTER);
    await sleep(5 * WINDOW_MS, signal);
    return branches(context, 'rewrites', (branch, tag) => measureWork(context, id, guest, { branch, tag }));
  });
  return section(context, reads, rewrites);
}

/** Each snapshot stays until the next is there: a line of branches ends with its latest. */
async function branches(
  context: BenchContext,
  guest: Row['guest'],
  measure: (branch: number, tag: string) => Promise<Row>,
): Promise<Row[]> {
  const rows: Row[] = [];
  const tags: string[] = [];
  try {
    for (let branch = 1; branch <= context.iterations; branch++) {
      const tag = freshTag();
      tags.push(tag);
      rows.push(
        await measure(branch, tag).catch((error: unknown) => ({ guest, branch, error: failureWords(error) })),
      );
      if (tags.length > 1) await discard(context, tags.shift() ?? '');
      context.say(`aftermath: a guest that ${guest} its memory, ${branch} of ${context.iterations}`);
    }
  } finally {
    for (const tag of tags) await discard(context, tag);
  }
  return rows;
}

const readAll = (guest: Guest): Promise<string> => guest.eval('float(memory.sum())');

interface Branch {
  readonly branch: number;
  readonly tag: string;
}

async function measureReads(
  context: BenchContext,
  { id, pid }: Sandbox,
  guest: Guest,
  { branch, tag }: Branch,
): Promise<Row> {
  const faults = async (): Promise<number> => (pid === null ? undefined : await nestedFaults(pid)) ?? NaN;
  await guest.eval(`memory[:${CHANGED_MIB} << 17].fill(${branch})`);
  const readBeforeMs = await timed(() => readAll(guest));
  const before = await faults();
  const { snapshot } = await measureBranch(context, id, { mode: 'live', wait: true, tag });
  const readAfterMs = await timed(() => readAll(guest));
  const nested = (await faults()) - before;
  await untilDurable(context, tag);
  return {
    ...{ guest: 'reads', branch, captured_pages: pagesOf(snapshot) },
    ...(Number.isNaN(nested) ? {} : { nested_faults: nested }),
    ...{ read_before_ms: readBeforeMs, read_after_ms: readAfterMs },
  };
}

async function measureWork(
  context: BenchContext,
  id: string,
  guest: Guest,
  { branch, tag }: Branch,
): Promise<Row> {
  const before = await rateOfWindow(context, guest);
  const { snapshot } = await measureBranch(context, id, { mode: 'live', wait: false, tag });
  const after = await rateOfWindow(context, guest);
  await untilDurable(context, tag);
  await sleep(WINDOW_MS, context.signal);
  return {
    ...{ guest: 'rewrites', branch, captured_pages: pagesOf(snapshot) },
    ...{ mib_per_second_before: before, mib_per_second_after: after },
  };
}

/** MiB a second that the guest rewrites from now on. */
async function rateOfWindow({ signal }: BenchContext, guest: Guest): Promise<number> {
  const [before, beganMs] = [await rewrittenMiB(guest), monotonicMs()];
  await sleep(WINDOW_MS, signal);
  return ((await rewrittenMiB(guest)) - before) / ((monotonicMs() - beganMs) / 1000);
}

async function rewrittenMiB(guest: Guest): Promise<number> {
  return Number(await guest.exec(['od', '-An', '-tu8', COUNTER]));
}

function pagesOf({ captured_bytes: bytes = 0 }: Snapshot): number {
  return bytes / PAGE_BYTES;
}

function section({ sourceTag }: BenchContext, reads: readonly Row[], rewrites: readonly Row[]): Section {
  const later = reads.filter(({ branch }) => branch > 1);
  const of = (rows: readonly Row[], name: NumberName): Summary | undefined =>
    summarize(rows.map((row) => row[name]));
  const faults = later.some((row) => row.nested_faults !== undefined)
    ? of(later, 'nested_faults')
    : undefined;
  const captured = of(later, 'captured_pages');
  const [before, after] = [of(rewrites, 'mib_per_second_before'), of(rewrites, 'mib_per_second_after')];
  return {
    name: 'aftermath',
    title: 'What a guest pays after a live branch',
    conditions: [
      `snapshot ${sourceTag}; one guest reads ${READ_MIB} MiB and changes ${CHANGED_MIB} MiB between two branches, another rewrites ${REWRITTEN_MIB} MiB without end`,
      faults === undefined
        ? 'nested faults: not counted, for want of KVM or of debugfs'
        : `nested faults: counted by KVM from the branch to the end of the read after it; first branch ${reads[0]?.nested_faults ?? 'failed'}, of ${reads[0]?.captured_pages ?? 'unknown'} pages captured`,
    ],
    tables: [
      tableOf(`Reading ${READ_MIB} MiB, later branches`, {
        'pages captured': captured,
        'nested faults': faults,
        'read before, ms': of(later, 'read_before_ms'),
        'read after, ms': of(later, 'read_after_ms'),
      }),
      tableOf(`Rewriting ${REWRITTEN_MIB} MiB`, {
        'MiB/s in the second before': before,
        'MiB/s in the second after': after,
      }),
    ],
    verdicts: reached([
      ratioVerdict(
        `nested faults after a later branch ≤ ${MOST_FAULTS} × pages captured, at p50`,
        faults?.p50,
        captured?.p50,
        MOST_FAULTS,
      ),
      ratioVerdict(
        'work of the second before ≤ 1/0.9 of that of the second after, at p50',
        before?.p50,
        after?.p50,
        MOST_SLOWED,
      ),
    ]),
    csv: { columns, rows: [...reads, ...rewrites].map((row) => ({ ...row })) },
  };
}

type NumberName = Exclude<(typeof columns)[number], 'guest' | 'branch' | 'error'>;

/** A line for each of what was measured. */
function tableOf(title: string, measured: Readonly<Record<string, Summary | undefined>>): TextTable {
  const rows = Object.entries(measured).flatMap(([what, summary]) =>
    summary === undefined ? [] : [[what, ...summaryCells(summary)]],
  );
  return { title, columns: ['what', ...summaryColumns], rows };
}
