/**
 * Keeping the hot tier within its budget, and knowing what the two tiers hold.
 *
 * Both mean looking at every layer file, so neither is done on the way of a request: a round every few seconds does it, and only
 * if something has happened since the last one.
 */
import { startRounds, type Rounds } from '../../base/index.js';
import type { HostContext } from '../host/context.js';

const ROUND_MS = 5_000;

/** Bytes in the two tiers, as of the latest round. */
export interface TierBytes {
  readonly hotBytes: number;
  readonly durableBytes: number;
}

export class HotTier {
  readonly #context: Pick<HostContext, 'store' | 'sandboxes' | 'emit'>;
  #seen: string | undefined;
  #bytes: TierBytes = { hotBytes: 0, durableBytes: 0 };
  #rounds: Rounds | undefined;
  #first: Promise<void> | undefined;

  constructor(context: Pick<HostContext, 'store' | 'sandboxes' | 'emit'>) {
    this.#context = context;
  }

  get bytes(): TierBytes {
    return this.#bytes;
  }

  /** Begins the rounds, with one at once. */
  start(): void {
    this.#rounds = startRounds(ROUND_MS, () => this.round());
    this.#first = this.round();
  }

  async stop(): Promise<void> {
    await this.#rounds?.stop();
    await this.#first;
  }

  /** One round; never rejects. */
  async round(): Promise<void> {
    const { store, emit } = this.#context;
    const found = this.#fingerprint();
    if (found === this.#seen) return;
    try {
      await store.evict();
      this.#bytes = { hotBytes: await store.hotLayerBytes(), durableBytes: await store.durableBytes() };
      this.#seen = found;
    } catch (err) {
      emit('hot-tier.round-failed', { err });
    }
  }

  /** Changes whenever what the tiers hold, or who uses it, may have changed. */
  #fingerprint(): string {
    const { store, sandboxes } = this.#context;
    const snapshots = store.list().map(({ id, status, hot, durable }) => [id, status, hot, durable]);
    return JSON.stringify([snapshots, sandboxes.list().map(({ id }) => id)]);
  }
}
