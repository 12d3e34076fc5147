import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Sandbox } from './sandbox.js';
import { Walls } from './walls.js';

/** Sandboxes of which only the name and the user of their VMM are looked at. */
const sandboxOf = (id: string, uid: number): Sandbox =>
  ({ paths: { id }, record: { process: { user: { uid, readersGid: 10 } } } }) as unknown as Sandbox;

describe('Walls.take()', () => {
  it('gives each VM a user that no other has, and never the readers’ number', () => {
    const walls = new Walls({ first: 10, last: 13 }, { owns: () => true, list: () => [] });
    const users = ['a', 'b', 'c'].map((name) => walls.take(name));
    assert.deepEqual(users.map(({ uid }) => uid).sort(), [11, 12, 13]);
    assert.deepEqual(new Set(users.map(({ readersGid }) => readersGid)), new Set([10]));
    const refusal = { code: 'vmm_failed', message: /every user from 11 to 13 has a VM/ };
    assert.throws(() => walls.take('d'), refusal);
  });

  it('gives none that a record names, as that of a daemon before', () => {
    const listed = [sandboxOf('a', 11), sandboxOf('b', 13)];
    const walls = new Walls({ first: 10, last: 13 }, { owns: () => true, list: () => listed });
    assert.equal(walls.take('c').uid, 12);
  });

  it('has a user to give again once nothing of its VM is there', () => {
    const owned = new Set(['a']);
    const walls = new Walls({ first: 10, last: 11 }, { owns: (name) => owned.has(name), list: () => [] });
    assert.equal(walls.take('a').uid, 11);
    assert.throws(() => walls.take('b'));
    owned.clear();
    assert.equal(walls.take('b').uid, 11);
  });
});
