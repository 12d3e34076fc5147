import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { StoreTooNew } from '../../src/store/index.js';
import { BadManifest, readManifest } from '../../src/store/format/manifest-file.js';
import { manifestSchema } from '../../src/store/format/manifest.js';
import { linkAsSandbox, makeFixture, snapshot } from '../support/store-fixture.js';
import { mutateBytes, mutateJson } from './mutations.js';
import { Seeded } from './seeded.js';

const ROUNDS = 500;

/** A valid one, with an ancestor and a disk. */
async function aManifest(t: TestContext): Promise<Buffer> {
  const fixture = await makeFixture(t);
  const store = await fixture.reopen();
  await snapshot(store, { tag: 'a', tail: 'tail a', retention: { keepLast: 2, ordinal: 1 } });
  const on = await linkAsSandbox(fixture, store, 'a', 'sb');
  await snapshot(store, { tag: 'b', on, parentTag: 'a', branchedFrom: 'sb', pages: { 1: 1, 5: 2 } });
  return readFile(join((await store.durable('b')).dir, 'manifest.json'));
}

describe('readManifest()', () => {
  for (const random of [new Seeded(1), Seeded.fromEnvironment()]) {
    it(`believes or refuses whatever has a right checksum, ${random.name}`, async (t) => {
      const valid = await aManifest(t);
      const folder = await mkdtemp(join(tmpdir(), 'bough-manifest-'));
      t.after(() => rm(folder, { recursive: true }));
      const counts = { believed: 0, refused: 0 };
      for (let round = 0; round < ROUNDS; round++) {
        const json = JSON.parse(valid.toString()) as object;
        const bytes = random.below(2) === 0 ? mutateBytes(valid, random) : mutateJson(json, random);
        const digest = createHash('sha256').update(bytes.toString('utf8')).digest('hex');
        await writeFile(join(folder, 'manifest.json'), bytes);
        await writeFile(join(folder, 'manifest.sha256'), `${digest}  manifest.json\n`);
        try {
          assert.deepEqual(
            manifestSchema.parse(await readManifest(folder)).layers.at(-1)?.file,
            'memory.bin',
          );
          counts.believed += 1;
        } catch (error) {
          const isRefusal = error instanceof BadManifest || error instanceof StoreTooNew;
          assert.ok(isRefusal, `${random.name}, round ${round}: ${String(error)}`);
          counts.refused += 1;
        }
      }
      t.diagnostic(`${counts.believed} believed, ${counts.refused} refused, ${random.name}`);
      assert.ok(counts.refused > ROUNDS / 2);
    });
  }
});
