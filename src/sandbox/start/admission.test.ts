import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MiB } from '../../base/index.js';
import { Admission, bootBytes, childBytes, ChildSizes } from './admission.js';

const withRoom = (bytes: number, reserveBytes = 0): Admission =>
  new Admission({ reserveBytes, availableBytes: () => Promise.resolve(bytes) });

describe('Admission', () => {
  it('admits all or none', async () => {
    const admission = withRoom(1000);
    await assert.rejects(admission.admit(300, 4), (error: unknown) => {
      const { code, details } = error as { code: string; details: unknown };
      assert.equal(code, 'no_memory');
      assert.deepEqual(details, { needed_bytes: 1200, available_bytes: 1000 });
      return true;
    });
    assert.equal((await admission.admit(300, 3)).length, 3);
  });

  it('counts what was promised to others until it is released, once', async () => {
    const admission = withRoom(1000);
    const [first, second] = await admission.admit(400, 2);
    assert(first && second);
    await assert.rejects(admission.admit(400, 1));
    first.release();
    first.release();
    await admission.admit(400, 1);
    await assert.rejects(admission.admit(400, 1));
  });

  it('gives the last room to one of two callers', async () => {
    const admission = withRoom(1000);
    const outcomes = await Promise.allSettled([admission.admit(600, 1), admission.admit(600, 1)]);
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  });

  it('admits some and says why not all', async () => {
    const { tickets, refusal } = await withRoom(1000, 100).admitSome(400, 5);
    assert.equal(tickets.length, 2);
    assert.equal(refusal?.code, 'no_memory');
  });

  it('refuses everything when the reserve is not there', async () => {
    await assert.rejects(withRoom(100, 200).admit(1, 1), { code: 'no_memory' });
  });
});

describe('ChildSizes', () => {
  it('takes the first child to need the cautious default, and the next what the first own and a quarter more', () => {
    const sizes = new ChildSizes();
    assert.equal(sizes.bytesFor('a', 1536, []), childBytes(1536));
    assert.equal(sizes.bytesFor('a', 1536, [56 * MiB]), 70 * MiB);
    assert.equal(sizes.bytesFor('b', 1536, []), childBytes(1536));
  });

  it('remembers what was seen when no child runs any more, and believes what it sees now', () => {
    const sizes = new ChildSizes();
    sizes.bytesFor('a', 1536, [56 * MiB, 56 * MiB]);
    assert.equal(sizes.bytesFor('a', 1536, []), 70 * MiB);
    assert.equal(sizes.bytesFor('a', 1536, [400 * MiB, 400 * MiB]), 500 * MiB);
    assert.equal(sizes.bytesFor('a', 1536, []), 500 * MiB);
  });

  it('does not let one that grew out of all proportion speak for the others', () => {
    const owned = [48, 52, 56, 8000].map((mib) => mib * MiB);
    assert.equal(new ChildSizes().bytesFor('a', 1536, owned), 70 * MiB);
  });

  it('never takes one to need next to nothing', () => {
    assert.equal(new ChildSizes().bytesFor('a', 1536, [1]), 32 * MiB);
  });

  it('forgets the snapshot that was longest not asked for', () => {
    const sizes = new ChildSizes();
    for (let index = 0; index < 256; index += 1) sizes.bytesFor(`s${index}`, 1536, [56 * MiB]);
    sizes.bytesFor('s0', 1536, []);
    sizes.bytesFor('one more', 1536, [56 * MiB]);
    assert.equal(sizes.bytesFor('s1', 1536, []), childBytes(1536));
    assert.equal(sizes.bytesFor('s0', 1536, []), 70 * MiB);
  });
});

describe('childBytes()', () => {
  it('is the VMM and a share of RAM', () => {
    assert.equal(childBytes(1536), (120 + 48) * MiB);
    assert.equal(bootBytes(1536), (120 + 1536) * MiB);
  });
});
