/**
 * A thread in a guest's warm interpreter that beats every few milliseconds and notes its longest gap: what a
 * guest felt.
 *
 * Not handled: telling a pause from a guest that is busy; compare gaps within one run only.
 */
import type { Guest } from './guest.js';

const START = `
import threading, time
class Pulse:
    beats, longest_gap_ms = 0, 0.0
    def run(self):
        last = time.monotonic()
        while True:
            time.sleep(0.005)
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

export async function startPulse(guest: Guest): Promise<void> {
  await guest.python(START);
}

/** Beats so far, and the longest gap since the last reading. */
export async function readPulse(guest: Guest): Promise<Pulse> {
  const [beats = 0, longestGapMs = 0] = await guest.read<number[]>('pulse.read()');
  return { beats, longestGapMs };
}
