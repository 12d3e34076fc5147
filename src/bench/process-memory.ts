/** Memory of processes as the kernel accounts it: PSS counts a shared page by its share. */
import { readFile } from 'node:fs/promises';

/** Bytes; `privateBytes` is what nobody else maps. */
export interface ProcessMemory {
  readonly pssBytes: number;
  readonly privateBytes: number;
}

/** Memory of one process; rejects when it is gone. */
export async function processMemory(pid: number): Promise<ProcessMemory> {
  return parseRollup(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'));
}

/** Parses /proc/<pid>/smaps_rollup. */
export function parseRollup(text: string): ProcessMemory {
  const bytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { pssBytes: bytes('Pss'), privateBytes: bytes('Private_Clean') + bytes('Private_Dirty') };
}
