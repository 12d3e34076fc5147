import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Lab } from '../support/lab.js';

describe('an emulated guest', { timeout: 120_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('addresses');
  });
  after(() => lab.close());

  it('gives a program the same addresses at each start under emulation', async () => {
    const child = await lab.spawn();
    const stack = 'grep stack /proc/self/maps';
    assert.equal(await child.shell(stack), await child.shell(stack));
  });
});
