import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { sleep } from '../../src/base/index.js';
import { spareNames } from '../../src/sandbox/disk/spares.js';
import type { SandboxRecord } from '../../src/sandbox/entity/record.js';
import { limitMs } from './time-limit.js';

/** Removing a few files takes a hundredth of it. */
const REMOVAL_DEADLINE_MS = limitMs(5_000);

/** What may be in a sandbox's disk folder: its chain, alone or with the spares in the order they are made; sorted names. */
function possibleDiskFiles({ disks, overlay, switchCount }: SandboxRecord): string[][] {
  const chain = [...disks, overlay].map(({ path }) => basename(path));
  const spares = spareNames(switchCount).map((node) => `${node}.qcow2`);
  return Array.from({ length: spares.length + 1 }, (_, count) =>
    [...chain, ...spares.slice(0, count)].sort(),
  );
}

/**
 * Nothing of a sandbox's disk is missing, and no file is left that belongs neither to its chain nor to its spares. A fold notes
 * the shorter chain first and removes the files then, so they may take a moment to go.
 */
export async function assertDiskFiles(sandboxStateDir: string, record: SandboxRecord): Promise<void> {
  const possible = possibleDiskFiles(record);
  for (let waitedMs = 0; ; waitedMs += 10) {
    const files = (await readdir(join(sandboxStateDir, 'disk'))).sort();
    if (possible.some((names) => isDeepStrictEqual(names, files))) return;
    if (waitedMs >= REMOVAL_DEADLINE_MS) assert.deepEqual(files, possible[0]);
    await sleep(10);
  }
}
