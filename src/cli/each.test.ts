import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Bough } from '../sdk/index.js';
import { BoughApiError } from '../sdk/index.js';
import { removeSnapshots } from './each.js';
import { CommandEnd } from './exit.js';
import type { Io } from './io.js';

/** Snapshots by tag, each with the tag of the one that it builds on; others may hold one too. */
function storeOf(parents: Record<string, string | undefined>, held: readonly string[] = []) {
  const left = new Map(Object.entries(parents));
  const removed: string[] = [];
  const failure = (code: 'snapshot_in_use' | 'snapshot_not_found', tag: string) =>
    new BoughApiError(`${code} ${tag}`, { status: 409, code });
  const client = {
    snapshots: {
      delete(tag: string): Promise<void> {
        if (!left.has(tag)) return Promise.reject(failure('snapshot_not_found', tag));
        if (held.includes(tag) || [...left.values()].includes(tag))
          return Promise.reject(failure('snapshot_in_use', tag));
        left.delete(tag);
        removed.push(tag);
        return Promise.resolve();
      },
    },
  } as unknown as Bough;
  let words = '';
  const io = { stderr: (text: string) => void (words += text) } as unknown as Io;
  const remove = (...tags: string[]) => removeSnapshots(client, tags, { cascade: false, force: false }, io);
  return { left, removed, remove, said: () => words };
}

describe('snapshots that are removed together', () => {
  it('go in whatever order they are named', async () => {
    const { removed, remove, said } = storeOf({
      base: undefined,
      middle: 'base',
      top: 'middle',
      other: 'base',
    });
    await remove('base', 'middle', 'top', 'other');
    assert.deepEqual(removed, ['top', 'other', 'middle', 'base']);
    assert.equal(said(), '');
  });

  it('stay where something else holds them, which is said once of each', async () => {
    const { left, remove, said } = storeOf({ base: undefined, middle: 'base', top: 'middle' }, ['middle']);
    await assert.rejects(remove('base', 'gone', 'middle', 'top'), CommandEnd);
    assert.deepEqual([...left.keys()], ['base', 'middle']);
    assert.deepEqual(
      said()
        .split('\n')
        .filter((line) => line.startsWith('error')),
      ['error: snapshot_not_found gone', 'error: snapshot_in_use base', 'error: snapshot_in_use middle'],
    );
  });
});
