/** The generation id: a guest's own kernel finds out that it is a copy, before and besides what the agent does. */
import assert from 'node:assert/strict';
import { after, afterEach, before, it } from 'node:test';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';

let lab: Lab;
before(async () => {
  lab = await Lab.open('generation');
});
afterEach(() => lab.clean());
after(() => lab.close());

/** How often its kernel has said so. */
const reseeds = async (guest: Guest): Promise<number> => {
  const { stdout } = await guest.exec(['dmesg']);
  return stdout.split('\n').filter((line) => line.includes('reseeded due to virtual machine fork')).length;
};

it('has the kernel of each copy reseed, and that of a source go on as it was', async () => {
  const source = await lab.spawn();
  assert.equal(await reseeds(source), 1, 'it is a copy of its template');
  const tag = await lab.branch(source);
  const children = [await lab.spawn(tag), await lab.spawn(tag)];
  for (const child of children) assert.equal(await reseeds(child), 2);
  assert.equal(await reseeds(source), 1);
});
