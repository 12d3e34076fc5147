import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { messageOf } from '../../src/base/index.js';
import { Seeded } from '../faults/seeded.js';
import { StoreModel } from '../faults/store-model.js';

const WALKS = 30;
const STEPS = 40;

describe('a store', () => {
  it('does what a model of it does, whatever is done in whatever order', async () => {
    const random = Seeded.fromEnvironment();
    let steps = 0;
    for (let walk = 0; walk < WALKS; walk++) {
      const chance = new Seeded(random.below(2 ** 31));
      const dirs = {
        stateDir: await mkdtemp(join(tmpdir(), 'bough-model-')),
        hotDir: await mkdtemp('/dev/shm/bough-model-'),
      };
      const did: string[] = [];
      const model = await StoreModel.open(dirs, chance);
      try {
        for (let step = 0; step < STEPS; step++) did.push(await model.step());
        steps += STEPS;
      } catch (error) {
        const what = messageOf(error);
        assert.fail(`walk ${walk} of ${random.name}: ${what}\nafter: ${did.join('; ')}`);
      } finally {
        await model.close();
        for (const folder of Object.values(dirs)) await rm(folder, { recursive: true, force: true });
      }
    }
    console.log(`# model of the store: ${WALKS} walks, ${steps} steps, ${random.name}`);
  });
});
