/**
 * How long a test may wait on this machine.
 *
 * A limit is there to end what hangs, so it may be as generous as the machine is slow: in a machine that is itself emulated everything
 * takes many times as long. What a test expects does not change with it.
 */
const factor = Number(process.env['BOUGH_TIME_FACTOR'] ?? 1);

/** A limit as it is meant for an ordinary machine, for this one. */
export const limitMs = (ordinaryMs: number): number => ordinaryMs * factor;
