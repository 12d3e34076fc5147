/**
 * Keeping the hot tier within its budget, and knowing what the two tiers hold.
 *
 * Both mean looking at every layer file, so neither is done on the way of a request: a round every few seconds does it, and only
 * if something has happened since the last one.
 */
import { startRounds, type Rounds } from '../../base/index.js';
import { endLine } from '../branch/line.js';
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
    await this.#endLines();
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

  /** Of a snapshot that is gone nobody but its source holds the memory: no more is kept then than before lines. */
  async #endLines(): Promise<void> {
    const { store, sandboxes } = this.#context;
    const ids = new Set(store.list().map(({ id }) => id));
    for (const sandbox of sandboxes.list()) {
      const since = sandbox.record.line?.since;
      if (since !== undefined && !ids.has(since)) await endLine(sandbox);
    }
  }

  /** Changes whenever what the tiers hold, or who uses it, may have changed. */
  #fingerprint(): string {
    const { store, sandboxes } = this.#context;
    const snapshots = store.list().map(({ id, status, hot, durable }) => [id, status, hot, durable]);
    return JSON.stringify([snapshots, sandboxes.list().map(({ id }) => id)]);
  }
}
