import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HOST_FAILPOINTS, KILL_ONLY, PART_FAILPOINTS, STORE_FAILPOINTS } from '../faults/failpoints.js';
import { readSources, type SourceFile } from './sources.js';

const stepsOfSources = async (): Promise<SourceFile[]> =>
  (await readSources('src')).filter(({ path }) => !/\.test\.ts$|base\/failpoint\.ts$/.test(path));

/** Every place in the sources, by name, with the files that have it. */
function placesIn(sources: readonly SourceFile[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { path, text } of sources) {
    for (const [, name = ''] of text.matchAll(/\b(?:failpoint|shortened)\(\s*'([^']*)'/g)) {
      found.set(name, [...(found.get(name) ?? []), path]);
    }
  }
  return found;
}

describe('failpoints', () => {
  it('in the sources are named once, and each of them is tested', async () => {
    const places = placesIn(await stepsOfSources());
    assert(places.size > 50);
    const twice = [...places].filter(([, paths]) => paths.length > 1);
    assert.deepEqual(twice, [], 'named twice');
    const tested = [STORE_FAILPOINTS, HOST_FAILPOINTS, PART_FAILPOINTS].flatMap((table) => [...table.keys()]);
    assert.equal(new Set(tested).size, tested.length);
    assert.deepEqual([...places.keys()].sort(), [...tested].sort());
    assert.deepEqual(
      KILL_ONLY.filter((name) => !places.has(name)),
      [],
    );
  });

  it('have literal names, so that they can be counted', async () => {
    const computed = (await stepsOfSources()).flatMap(({ path, text }) =>
      [...text.matchAll(/\b(?:failpoint|shortened)\(\s*(?!')/g)].map(() => path),
    );
    assert.deepEqual(computed, []);
  });
});
