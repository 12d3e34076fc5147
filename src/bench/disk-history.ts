/** What branches in a row take on disk of a guest that writes a new file before each: what was written, and what folding copies again. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { discard, freshTag, measureBranch, untilDurable, withSandbox, type BenchContext } from './context.js';
import { sandboxGuest } from './guest.js';

export const WRITTEN_MIB = 2;

/** For each of `iterations` branches, the bytes of disk files that no branch before it has. */
export async function measureDiskHistory(context: BenchContext): Promise<number[]> {
  const tags: string[] = [];
  try {
    return await withSandbox(context, context.sourceTag, async ({ id }) => {
      const guest = sandboxGuest(context.client, id, context.signal);
      const seen = new Set<string>();
      await newBytes((await context.client.snapshots.get(context.sourceTag)).dir, seen);
      const bytes: number[] = [];
      for (let branch = 1; branch <= context.iterations; branch++) {
        const write = `head -c ${WRITTEN_MIB}M /dev/urandom > /root/history-${branch} && sync`;
        await guest.exec(['sh', '-c', write]);
        const tag = freshTag();
        tags.push(tag);
        await measureBranch(context, id, { mode: 'live', wait: true, tag });
        bytes.push(await newBytes((await untilDurable(context, tag)).dir, seen));
        if (branch % 10 === 0) context.say(`history: ${branch} of ${context.iterations} branches of a disk`);
      }
      return bytes;
    });
  } finally {
    for (const tag of tags) await discard(context, tag);
  }
}

/** Of the files of a snapshot's disk, hard links to files that were seen left out. */
async function newBytes(snapshotDir: string, seen: Set<string>): Promise<number> {
  let bytes = 0;
  const folder = join(snapshotDir, 'disk');
  for (const name of await readdir(folder)) {
    const { dev, ino, blocks } = await stat(join(folder, name));
    if (!seen.has(`${dev} ${ino}`)) bytes += blocks * 512;
    seen.add(`${dev} ${ino}`);
  }
  return bytes;
}
