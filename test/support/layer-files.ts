import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { sleep } from '../../src/base/index.js';
import { readRecord } from '../../src/sandbox/entity/record.js';
import { limitMs } from './time-limit.js';

/** Noting a line and removing a few files takes a hundredth of it. */
const REMOVAL_DEADLINE_MS = limitMs(5_000);

/** No link to a memory layer is left that a sandbox's record does not name, and none of those is missing. */
export async function assertOwnLayers(sandboxHotDir: string, sandboxStateDir: string): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += 10) {
    const { layers, line } = await readRecord(join(sandboxStateDir, 'record.json'));
    const named = [...layers, ...(line?.layers ?? [])].map(({ path }) => basename(path)).sort();
    const files = (await readdir(join(sandboxHotDir, 'layers'))).sort();
    if (isDeepStrictEqual(files, named)) return;
    if (waitedMs >= REMOVAL_DEADLINE_MS) assert.deepEqual(files, named, 'links to layers');
    await sleep(10);
  }
}
