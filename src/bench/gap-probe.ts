/**
 * The longest time for which a program inside the guest did not run, as the guest's own clock tells it.
 *
 * A window is cut out on the guest's clock. Asking the guest anything makes it busy for a moment, so both
 * ends of the window are kept a margin away from the two questions.
 *
 * A virtual clock stands still while vCPUs are stopped: the pause window itself is invisible from in here,
 * and what is seen are the stalls around it. The echo probe sees both.
 */
import { sleep } from '../base/index.js';
import { GAP_FLOOR_MS, gapProgram, startProgram } from './guest-programs.js';
import type { Guest } from './guest.js';

const PATH = '/run/bench-gaps';
const MARGIN_MS = 30;
const START_POLL_MS = 200;
const START_ATTEMPTS = 300;
const TAIL_CHARACTERS = 16_384;

/** One gap: when it ended on the guest's clock, in seconds, and how long it was. */
export interface Gap {
  readonly endSeconds: number;
  readonly gapMs: number;
}

export interface GapProbe {
  /**
   * Runs `work` and resolves with its result and the longest gap meanwhile, in ms; the floor stands for "no
   * longer than that".
   */
  during<T>(work: () => Promise<T>): Promise<{ result: T; gapMs: number }>;
}

/** Starts the probe's program in the guest. */
export async function startGapProbe(guest: Guest): Promise<GapProbe> {
  await startProgram(guest, gapProgram, PATH);
  await untilStarted(guest);
  return {
    async during(work) {
      const from = await askTime(guest);
      await sleep(2 * MARGIN_MS);
      const result = await work();
      await sleep(2 * MARGIN_MS);
      const { nowSeconds, gaps } = await askGaps(guest);
      const margin = MARGIN_MS / 1000;
      return { result, gapMs: longestGapMs(gaps, from + margin, nowSeconds - margin) };
    },
  };
}

/** The longest gap that ended between two instants of the guest's clock, at least the floor. */
export function longestGapMs(gaps: readonly Gap[], fromSeconds: number, toSeconds: number): number {
  const inside = gaps.filter(({ endSeconds }) => endSeconds >= fromSeconds && endSeconds <= toSeconds);
  return Math.max(GAP_FLOOR_MS, ...inside.map(({ gapMs }) => gapMs));
}

/** Parses `now|end gap;end gap;…`; a line cut off at either end is passed over. */
export function parseGaps(text: string): { nowSeconds: number; gaps: Gap[] } {
  const [now = '', lines = ''] = text.replace(/^'|'$/g, '').split('|');
  if (!/^\d+(\.\d+)?$/.test(now))
    throw new SyntaxError(`Not the gap probe's answer: ${JSON.stringify(text.slice(0, 60))}`);
  const gaps = [...lines.matchAll(/(?<=^|;)(\d+\.\d{6}) (\d+\.\d{3})(?=;)/g)].map(([, end, gap]) => ({
    endSeconds: Number(end),
    gapMs: Number(gap),
  }));
  return { nowSeconds: Number(now), gaps };
}

/** The interpreter it runs in takes a second to start, on a busy host several. */
async function untilStarted(guest: Guest): Promise<void> {
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
    if ((await guest.eval(`__import__('os').path.exists('${PATH}')`)) === 'True') return;
    await sleep(START_POLL_MS);
  }
  throw new Error('The gap probe did not start in the guest');
}

async function askTime(guest: Guest): Promise<number> {
  return parseGaps(await guest.eval('f\'{__import__("time").monotonic():.6f}|\'')).nowSeconds;
}

async function askGaps(guest: Guest): Promise<{ nowSeconds: number; gaps: Gap[] }> {
  const tail = `open('${PATH}').read()[-${TAIL_CHARACTERS}:].replace(chr(10), ';')`;
  return parseGaps(await guest.eval(`'%.6f|%s' % (__import__('time').monotonic(), ${tail})`));
}
