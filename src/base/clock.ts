/**
 * The host's two clocks together, for whatever must hold a time of the wall clock without obeying its steps.
 *
 * The idea: a wall clock time is turned into a moment of the monotonic clock when it is learnt, and only the
 * latter decides from then on. The monotonic clock is the same for all processes until the host reboots, so a
 * moment may be written down for the next process, together with the boot it belongs to. It stands still
 * while the host is suspended.
 */
import { readFileSync } from 'node:fs';

export interface Clock {
  /** Names the boot of the host that `bootMs` belongs to. */
  readonly bootId: string;
  /** Milliseconds since 1970 by the wall clock, which may step. */
  unixMs(): number;
  /** Milliseconds on the monotonic clock, comparable between processes of one boot. */
  bootMs(): number;
}

/** The host's clocks. */
export const hostClock: Clock = {
  get bootId() {
    return (bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  },
  unixMs: () => Date.now(),
  bootMs: () => Number(process.hrtime.bigint() / 1_000_000n),
};

let bootId: string | undefined;
