import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { madeSnapshot } from '../../test/support/made-snapshot.js';
import { watchArrival } from './arrival.js';
import { BadSnapshotArchive } from './errors.js';
import { manifestSchema, parsed } from './format.js';
import { readBlob } from './layout.js';
import { packSnapshot } from './pack.js';

describe('watchArrival()', () => {
  it('counts the whole parts of a snapshot, and nothing else that lies there', async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'bough-arrival-'));
    t.after(() => rm(dir, { recursive: true }));
    const layout = join(dir, 'layout');
    const source = await madeSnapshot(await mkdtemp(join(dir, 'made-')));
    const { digest } = await packSnapshot(source, layout);
    const manifest = await readBlob(layout, digest);
    const { config, layers } = parsed(manifestSchema, manifest, 'the manifest');
    const parts = new Map([config, ...layers].map((each) => [each.digest, each.size]));
    const wholeBytes = [...parts.values()].reduce((sum, bytes) => sum + bytes, 0);
    const blobs = join(layout, 'blobs/sha256');
    await writeFile(join(blobs, 'f'.repeat(64)), 'of another');
    const away = config.digest.replace('sha256:', '');
    await rename(join(blobs, away), join(dir, away));

    const told: [number, number][] = [];
    const next = async (): Promise<[number, number] | undefined> => {
      const known = told.length;
      while (told.length === known) await new Promise((resolve) => setTimeout(resolve, 20));
      return told.at(-1);
    };
    const watching = watchArrival(layout, manifest, (...facts) => void told.push(facts));
    try {
      assert.deepEqual(await next(), [wholeBytes - config.size, wholeBytes]);
      await rename(join(dir, away), join(blobs, away));
      await next();
      assert.deepEqual(await next(), [wholeBytes, wholeBytes]);
    } finally {
      await watching.stop();
    }
    assert.throws(() => watchArrival(layout, Buffer.from('{}'), () => undefined), BadSnapshotArchive);
  });
});
