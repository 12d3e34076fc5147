/** A rollback that was cut off leaves two folders whose records name one sandbox. */
import type { SandboxRecord } from '../entity/record.js';

/**
 * Pure. The folders that another's has taken the place of: its generation is later, and its record names a process. One that names none is
 * of a rollback that had not switched, and takes the place of nobody.
 */
export function outlived(records: ReadonlyMap<string, SandboxRecord>): string[] {
  const owned = [...records].filter(([, { process }]) => process !== undefined);
  const latest = new Map<string, number>();
  for (const [, { id, generation = 0 }] of owned) latest.set(id, Math.max(generation, latest.get(id) ?? 0));
  return owned
    .filter(([, { id, generation = 0 }]) => generation < (latest.get(id) ?? 0))
    .map(([folder]) => folder);
}
