/**
 * Checkpoints that go by themselves, as a model of a daemon knows them: of which sandbox each is, and what may be in it.
 *
 * Which of them are there is the daemon's to say, for they are made and thinned out at their own time. But none comes from nowhere, the
 * newest of a sandbox stays as long as that does, and whatever is there can be started from.
 */
import assert from 'node:assert/strict';
import type { CheckpointsRequestInput, Snapshot } from '../../src/contract/index.js';
import type { Bough } from '../../src/sdk/index.js';

/** Every second, and of those that are a few seconds old one in so many. */
export const SCHEDULE: CheckpointsRequestInput = {
  every_secs: 1,
  keep: [{ within_secs: 3 }, { within_secs: 20, every_secs: 5 }],
};

export class ModelTimelines {
  /** Ids to the numbers that each guest has ever had. */
  readonly #numbers = new Map<string, Set<number>>();
  /** Tags to the ids of the sandboxes that they are of. */
  #points = new Map<string, string>();
  /** Ids to when the newest was taken. */
  readonly #newestMs = new Map<string, number>();
  #seen = 0;

  /** How many there have been. */
  get seen(): number {
    return this.#seen;
  }

  get tags(): string[] {
    return [...this.#points.keys()];
  }

  note(id: string, number: number): void {
    const known = this.#numbers.get(id) ?? new Set();
    this.#numbers.set(id, known.add(number));
  }

  /** What its guest had when the checkpoint was taken: in memory and on disk, a write may have been under way. */
  assertPossible(tag: string, found: readonly number[]): void {
    const possible = this.#numbers.get(this.#points.get(tag) ?? '');
    for (const number of found) assert(possible?.has(number), `${tag} holds ${found.join()}`);
  }

  /** Somebody may have removed it. */
  forgetNewest(): void {
    this.#newestMs.clear();
  }

  /** Looks at those snapshots of the list that the model has not made, and at the timelines of those that are there. */
  async compare(client: Bough, others: readonly Snapshot[], living: readonly string[]): Promise<void> {
    const points = new Map<string, string>();
    for (const { tag, status, checkpoint, branched_from: of = '', warning } of others) {
      assert(checkpoint === true && this.#numbers.has(of), `"${tag}" came from nowhere`);
      assert.notEqual(status, 'failed', warning);
      if (status !== 'ready') continue;
      points.set(tag, of);
      if (!this.#points.has(tag)) this.#seen += 1;
    }
    this.#points = points;
    for (const id of living) {
      const newest = (await client.sandboxes.timeline(id).list()).findLast(
        ({ status }) => status === 'ready',
      );
      const beforeMs = this.#newestMs.get(id);
      if (beforeMs !== undefined)
        assert((newest?.at_unix_ms ?? 0) >= beforeMs, `the newest of ${id} is gone`);
      if (newest !== undefined) this.#newestMs.set(id, newest.at_unix_ms);
    }
  }
}
