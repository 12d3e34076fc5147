import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { freedBytes } from '../../store/index.js';
import {
  planCollection,
  type CollectionPlan,
  type LeftoverFact,
  type SnapshotFact,
} from './collection-plan.js';

const HOUR_MS = 3_600_000;

function aSnapshot(name: string, more: Partial<SnapshotFact> = {}): SnapshotFact {
  return { name, isDurable: true, expiry: 'never', ordinal: 0, holders: [], files: [], ...more };
}

function plan(snapshots: SnapshotFact[], leftovers: LeftoverFact[] = []): CollectionPlan {
  return planCollection({ snapshots, leftovers });
}

const names = (items: readonly { name: string }[]): string[] => items.map(({ name }) => name);

/** Branches of one source, oldest first. */
function branches(count: number, more: Partial<SnapshotFact> = {}): SnapshotFact[] {
  return Array.from({ length: count }, (_, index) =>
    aSnapshot(`b${index + 1}`, { source: 'sb1', keepLast: 2, ordinal: index + 1, ...more }),
  );
}

describe('the plan of the collector', () => {
  it('does not look at snapshots without a rule', () => {
    assert.deepEqual(plan([aSnapshot('a'), aSnapshot('b', { expiry: 'later' })]), { remove: [], keep: [] });
  });

  it('removes what has expired', () => {
    const { remove } = plan([aSnapshot('a', { expiry: 'expired' })]);
    assert.deepEqual(remove, [{ what: 'snapshot', name: 'a', why: 'it has expired', bytes: 0 }]);
  });

  it('keeps what is in use, and says by what', () => {
    const { remove, keep } = plan([aSnapshot('a', { expiry: 'expired', holders: ['sandbox sb1'] })]);
    assert.deepEqual(remove, []);
    assert.equal(keep[0]?.why, 'it has expired, but it is in use by sandbox sb1');
  });

  it('removes a chain that has expired as a whole, what builds on others first', () => {
    const root = aSnapshot('root', { expiry: 'expired', holders: ['snapshot mid', 'snapshot leaf'] });
    const mid = aSnapshot('mid', { expiry: 'expired', holders: ['snapshot leaf'] });
    const leaf = aSnapshot('leaf', { expiry: 'expired' });
    assert.deepEqual(names(plan([root, leaf, mid]).remove), ['leaf', 'mid', 'root']);
  });

  it('keeps the ancestors of what stays, however long the chain', () => {
    const root = aSnapshot('root', { expiry: 'expired', holders: ['snapshot mid', 'snapshot leaf'] });
    const mid = aSnapshot('mid', { expiry: 'expired', holders: ['snapshot leaf'] });
    const leaf = aSnapshot('leaf', { expiry: 'expired', holders: ['a spawn under way'] });
    const { remove, keep } = plan([root, mid, leaf]);
    assert.deepEqual(remove, []);
    assert.deepEqual(names(keep).sort(), ['leaf', 'mid', 'root']);
  });

  it('keeps what a wall clock alone calls expired', () => {
    const { remove, keep } = plan([aSnapshot('a', { expiry: { heldMs: 1500 } })]);
    assert.deepEqual(remove, []);
    assert.match(keep[0]?.why ?? '', /may be wrong: looked at again in 2 s/);
  });

  it('is carried out for leftovers that are old, not for those of work under way', () => {
    const leftover = (name: string, ageMs: number, seenMs: number, keptWhy?: string): LeftoverFact => ({
      ...{ what: 'temporary', name, ageMs, seenMs, files: [], keptWhy },
    });
    const { remove, keep } = plan(
      [],
      [
        leftover('old', 3 * HOUR_MS, HOUR_MS),
        leftover('young', HOUR_MS - 1, HOUR_MS),
        leftover('unknown', 3 * HOUR_MS, HOUR_MS - 1),
        leftover('damaged', 900 * HOUR_MS, HOUR_MS, 'it is damaged'),
      ],
    );
    assert.deepEqual(names(remove), ['old']);
    assert.deepEqual(names(keep), ['young', 'unknown', 'damaged']);
  });
});

describe('keep_last', () => {
  it('keeps the newest, whatever the order they are listed in', () => {
    const { remove } = plan(branches(4).reverse());
    assert.deepEqual(names(remove).sort(), ['b1', 'b2']);
    assert.match(remove[0]?.why ?? '', /^sandbox sb1 has \d newer, and keep_last is 2$/);
  });

  it('goes by what the newest branch asked for', () => {
    const [a, b, c] = branches(3);
    assert.ok(a && b && c);
    assert.deepEqual(names(plan([a, b, { ...c, keepLast: 1 }]).remove).sort(), ['b1', 'b2']);
    assert.deepEqual(names(plan([a, b, { ...c, keepLast: 5 }]).remove), []);
  });

  it('never takes a snapshot that was made without it, nor one of another source', () => {
    const named = aSnapshot('named', { source: 'sb1', ordinal: 0 });
    const other = aSnapshot('other', { source: 'sb2', keepLast: 1, ordinal: 0 });
    assert.deepEqual(names(plan([named, other, ...branches(3)]).remove), ['b1']);
  });

  it('counts only successors that would survive power loss', () => {
    const [a, b, c] = branches(3);
    assert.ok(a && b && c);
    assert.deepEqual(names(plan([a, b, { ...c, isDurable: false }]).remove), []);
  });

  it('spares what is in use', () => {
    const [a, b, c] = branches(3);
    assert.ok(a && b && c);
    const { remove, keep } = plan([{ ...a, holders: ['sandbox sb9'] }, b, c]);
    assert.deepEqual(remove, []);
    assert.deepEqual(names(keep), ['b1']);
  });
});

describe('what a removal frees', () => {
  const file = (ino: number, links: number) => ({ dev: 1, ino, links, bytes: 100 });

  it('is a file with its last link', () => {
    const shared = file(1, 2);
    assert.deepEqual(freedBytes([{ files: [shared, file(2, 1)] }]), [100]);
    assert.deepEqual(freedBytes([{ files: [shared] }, { files: [shared] }]), [0, 100]);
  });
});
