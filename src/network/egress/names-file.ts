/**
 * The names a sandbox has asked for, in a file: a line each, appended when a name gets its address, so that an egress
 * which is started again, and a child, know whom an address means. Lines that a crash left half written are left out.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { z } from 'zod';
import type { NameEntry } from './names.js';

const entrySchema = z.tuple([z.string(), z.string()]);

export function readNames(path: string): NameEntry[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8').split('\n').flatMap(entryOf);
}

export function appendName(path: string, entry: NameEntry): void {
  // On a line of its own, even after one that a full disk cut short.
  appendFileSync(path, `\n${lineOf(entry)}`, { mode: 0o600 });
}

/** As a child begins with. */
export function writeNames(path: string, entries: readonly NameEntry[]): Promise<void> {
  return writeFile(path, entries.map(lineOf).join(''), { mode: 0o600 });
}

const lineOf = (entry: NameEntry): string => `${JSON.stringify(entry)}\n`;

function entryOf(line: string): NameEntry[] {
  try {
    return [entrySchema.parse(JSON.parse(line))];
  } catch {
    return [];
  }
}
