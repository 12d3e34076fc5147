/**
 * A thread in a guest's warm interpreter that beats again and again and notes its longest gap: what a guest felt.
 *
 * Not handled: telling a pause from a guest that is busy; compare gaps within one run only.
 */
import assert from 'node:assert/strict';
import { sleep } from '../../src/base/index.js';
import type { Guest } from './guest.js';
import { limitMs } from './time-limit.js';

/** For gaps of a few milliseconds; an emulated guest takes a sixth of a processor for it. */
const OFTEN_MS = 5;
/** For who wants to see that a guest runs, and gaps of a tenth of a second. */
export const SELDOM_MS = 50;
const DEADLINE_MS = limitMs(60_000);

const program = (everyMs: number): string => `
import threading, time
class Pulse:
    beats, longest_gap_ms = 0, 0.0
    def run(self):
        last = time.monotonic()
        while True:
            time.sleep(${everyMs / 1000})
            now = time.monotonic()
            self.longest_gap_ms = max(self.longest_gap_ms, (now - last) * 1000)
            self.beats, last = self.beats + 1, now
    def read(self):
        gap, self.longest_gap_ms = self.longest_gap_ms, 0.0
        return [self.beats, gap]
pulse = Pulse()
threading.Thread(target=pulse.run, daemon=True).start()
`;

export interface Pulse {
  readonly beats: number;
  readonly longestGapMs: number;
}

export async function startPulse(guest: Guest, everyMs = OFTEN_MS): Promise<void> {
  await guest.python(program(everyMs));
}

/** Beats so far, and the longest gap since the last reading. */
export async function readPulse(guest: Guest): Promise<Pulse> {
  const [beats = 0, longestGapMs = 0] = await guest.read<number[]>('pulse.read()');
  return { beats, longestGapMs };
}

/** Waits until a guest has beaten more often than so; how often by then. */
export async function beatsBeyond(guest: Guest, before: number): Promise<number> {
  for (let waitedMs = 0; waitedMs < DEADLINE_MS; waitedMs += SELDOM_MS) {
    const { beats } = await readPulse(guest);
    if (beats > before) return beats;
    await sleep(SELDOM_MS);
  }
  assert.fail('the guest stands still');
}
