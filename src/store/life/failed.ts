/**
 * Captures that came to nothing after their name had been given out: `failed/<tag>.json`.
 *
 * The file is written when the name is given out, with the crash of the daemon as its reason, and removed
 * when the snapshot is published or abandoned: so a crash needs no code to be reported. It is in the hot tier, as what was captured is until it
 * is durable: whoever waits for a name waits for no disk, and after a loss of power neither is there.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { namesIn, writeFileAtomic } from '../../base/index.js';
import type { FailedEntry } from '../catalog.js';
import type { StoreContext } from '../context.js';
import { OBJECT_ID_PATTERN, TAG_PATTERN } from '../format/manifest.js';

const schema = z.object({
  id: z.string().regex(OBJECT_ID_PATTERN),
  tag: z.string().regex(TAG_PATTERN),
  createdAtUnix: z.number().int().nonnegative(),
  reason: z.string(),
  branchedFrom: z.string().optional(),
});

/** What a `failed` entry says after a crash. */
export const STOPPED_REASON = 'The daemon stopped while the snapshot was being written';

const pathOf = (folder: string, tag: string): string => join(folder, `${tag}.json`);

/** Throws NoSpace. */
export async function writeFailed(
  { hot, hotSpace }: Pick<StoreContext, 'hot' | 'hotSpace'>,
  entry: Omit<FailedEntry, 'kind'>,
): Promise<void> {
  try {
    const text = `${JSON.stringify(entry)}\n`;
    await writeFileAtomic(pathOf(hot.failed, entry.tag), text, { inMemory: true });
  } catch (error) {
    throw await hotSpace.explain(error);
  }
}

export async function removeFailed(folder: string, tag: string): Promise<void> {
  await rm(pathOf(folder, tag), { force: true });
}

/** All entries of the folder, if it is there; files that are not one are removed, they hold nothing but a reason. */
export async function readFailed(folder: string): Promise<FailedEntry[]> {
  const entries: FailedEntry[] = [];
  for (const name of await namesIn(folder)) {
    const entry = parse(await readFile(join(folder, name), 'utf8'));
    if (entry !== undefined && `${entry.tag}.json` === name) entries.push(entry);
    else await rm(join(folder, name), { force: true, recursive: true });
  }
  return entries;
}

function parse(text: string): FailedEntry | undefined {
  try {
    return { kind: 'failed', ...schema.parse(JSON.parse(text)) };
  } catch {
    return undefined;
  }
}
