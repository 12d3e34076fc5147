/**
 * What a guest that ended by itself left behind: QEMU's word for how it ended, and the end of its console.
 *
 * A guest may write to its console without rest. QEMU keeps the last 64 KiB of it in memory, and of that the end is kept here as plain
 * text: what a guest prints is nobody's command, least of all a terminal's.
 *
 * Not handled: a guest that hangs after a panic instead of rebooting (`panic=0` on a command line of the caller's).
 */
import type { QmpClient, QmpEvent } from '../../qmp/index.js';
import { CONSOLE_RING_BYTES } from '../machine/machine.js';

/** How much of a console is kept with the reason of an end. */
export const CONSOLE_TAIL_BYTES = 4096;

const READ_DEADLINE_MS = 1_000;
/** Unicode's control and format characters, and what is no character; tabs and line ends stay. */
const UNPRINTABLE = /[^\t\n\P{C}]/gu;

/** The reason of an end by the kernel, in place of one of QMP's. */
export const MEMORY_LIMIT = 'memory-limit';

export interface LastWords {
  /** Of QMP's SHUTDOWN event, such as `guest-reset`, or MEMORY_LIMIT; undefined where nobody was there to hear it. */
  readonly reason: string | undefined;
  readonly consoleTail: string;
}

/** The reason in an event that tells of a guest's own end; undefined for all other events. */
export function guestsOwnEnd({ event, data }: QmpEvent): string | undefined {
  const { guest, reason } = data;
  return event === 'SHUTDOWN' && guest === true ? String(reason) : undefined;
}

/** Takes what QEMU keeps of the console, and gives the end of it; empty where it cannot be read. */
export async function readConsoleTail(qmp: QmpClient): Promise<string> {
  const request = { device: 'console', size: CONSOLE_RING_BYTES, format: 'base64' } as const;
  try {
    const text = await qmp.execute('ringbuf-read', request, { timeoutMs: READ_DEADLINE_MS });
    return plainTail(Buffer.from(text, 'base64').toString('utf8'));
  } catch {
    return '';
  }
}

/** The end of a text in whole lines, without what could move a cursor. */
export function plainTail(text: string): string {
  const plain = Buffer.from(text.replace(UNPRINTABLE, '').trimEnd());
  if (plain.length <= CONSOLE_TAIL_BYTES) return plain.toString();
  const tail = plain.subarray(-CONSOLE_TAIL_BYTES);
  const firstLine = tail.indexOf('\n') + 1;
  // Without a line to begin with, part of a character may come first.
  return tail
    .subarray(firstLine)
    .toString()
    .replace(/^\uFFFD+/, '');
}
