import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Seeded } from '../faults/seeded.js';
import { TimelineModel } from '../faults/timeline-model.js';
import { TimelineWorld } from '../faults/timeline-world.js';

const WALKS = 20;
const STEPS = 40;

describe('timelines', () => {
  it('are what a model of them says, whatever is done in whatever order, and whatever fails', async () => {
    const random = Seeded.fromEnvironment();
    const total = { rollbacks: 0, failedRollbacks: 0, scheduled: 0, thinnedOut: 0 };
    for (let walk = 0; walk < WALKS; walk++) {
      const world = await TimelineWorld.open();
      const model = new TimelineModel(world, new Seeded(random.below(2 ** 31)));
      const did: string[] = [];
      try {
        for (let step = 0; step < STEPS; step++) did.push(await model.step());
      } catch (cause) {
        assert.fail(`walk ${walk} of ${random.name}: ${explained(cause)}\nafter: ${did.join('; ')}`);
      } finally {
        await world.close();
      }
      for (const what of Object.keys(total) as (keyof typeof total)[]) total[what] += model.tally[what];
    }
    console.log(
      `# model of timelines: ${WALKS} walks of ${STEPS} steps, ${JSON.stringify(total)}, ${random.name}`,
    );
    for (const [what, count] of Object.entries(total)) assert(count > 0, what);
  });
});

function explained(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.stack ?? error.message}${error.cause === undefined ? '' : `: ${explained(error.cause)}`}`;
}
