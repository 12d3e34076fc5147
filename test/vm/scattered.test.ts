import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { Lab } from '../support/lab.js';

const MIB = 281;

describe('branch() of a guest that writes every second page', { timeout: 300_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('scattered');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('makes snapshots that children start from, exact, generation after generation', async () => {
    const source = await lab.spawn();
    // In the layer below, all pages are there; what a child writes of them lies between those it does not.
    await source.python(`import numpy as np; memory = np.ones((${MIB * 256}, 512), np.uint64)`);
    let tag = await lab.branch(source);
    await lab.end(source);
    for (const generation of [2, 3]) {
      const child = await lab.spawn(tag);
      await child.python(`memory[::2, 0] = ${generation}`);
      tag = await lab.branch(child);
      await lab.end(child);
    }
    const last = await lab.spawn(tag);
    assert.equal(
      await last.python('[int(memory[::2, 0].sum()), int(memory[1::2, 0].sum()), int(memory[:, 1].sum())]'),
      `[${3 * MIB * 128}, ${MIB * 128}, ${MIB * 256}]`,
    );
  });
});
