import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { messageOf } from '../../src/base/index.js';
import { FaultLab } from '../faults/fault-lab.js';
import { HostModel } from '../faults/host-model.js';
import { Seeded } from '../faults/seeded.js';

const STEPS = 40;

describe('a daemon with VMs', { timeout: 600_000 }, () => {
  const random = Seeded.fromEnvironment();
  const warmVmms = random.below(3);
  let lab: FaultLab;
  before(async () => {
    lab = await FaultLab.open('model', { warmVmms });
  });
  after(() => lab.close());

  it('does what a model of it does, kills included', async () => {
    const model = await HostModel.of(lab, random);
    const did: string[] = [];
    try {
      for (let step = 0; step < STEPS; step++) did.push(await model.step());
    } catch (error) {
      const what = messageOf(error);
      assert.fail(`${random.name}: ${what}\nafter: ${did.join('; ')}`);
    }
    await lab.clean();
    console.log(`# model of a daemon: ${STEPS} steps, ${warmVmms} VMMs that stand ready, ${random.name}`);
  });
});
