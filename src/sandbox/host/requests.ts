/**
 * Requests with an idempotency key: asked twice, they make nothing twice.
 *
 * The idea: a key is written down with what it makes, in the manifest of a snapshot or the record of a
 * sandbox, by the write that makes it. So a crash leaves both or neither, and whoever asks again is given
 * what is there and has made only what is missing.
 *
 * A rollback makes nothing that could bear its key but the state of before, which may not be kept: the sandbox knows its latest ones.
 *
 * Not handled: a key outlives nothing it made. Once all of that has been removed, the same request makes it
 * anew.
 */
import { BoughError } from '../../contract/index.js';
import type { RequestKey, SnapshotView, Store } from '../../store/index.js';
import type { SandboxRegistry } from '../entity/registry.js';
import type { Sandbox } from '../entity/sandbox.js';

/** Where what a request made is found. */
export interface Made {
  readonly store: Pick<Store, 'list'>;
  readonly sandboxes: Pick<SandboxRegistry, 'list'>;
}

export class Requests {
  readonly #made: Made;
  readonly #underWay = new Map<string, { readonly key: RequestKey; readonly answer: Promise<unknown> }>();

  constructor(made: Made) {
    this.#made = made;
  }

  /**
   * Runs `work`, or joins the same request under way. Throws `idempotency_key_reused` if another one has the
   * key, or what `work` throws.
   */
  async once<T>(key: RequestKey | undefined, work: () => Promise<T>): Promise<T> {
    if (key === undefined) return work();
    const other = this.#underWay.get(key.keySha256);
    const known = [
      other?.key,
      this.snapshotOf(key)?.requestKey,
      this.#rollbackOf(key),
      ...this.#recordedKeys(key),
    ];
    for (const each of known) {
      if (each !== undefined && each.requestSha256 !== key.requestSha256) {
        throw new BoughError('idempotency_key_reused');
      }
    }
    // Only the same request gets here, and that has the same answer.
    if (other !== undefined) return other.answer as Promise<T>;
    const answer = work().finally(() => this.#underWay.delete(key.keySha256));
    this.#underWay.set(key.keySha256, { key, answer });
    return answer;
  }

  /** The snapshot that a request of this key made or is making. */
  snapshotOf(key: RequestKey | undefined): SnapshotView | undefined {
    if (key === undefined) return undefined;
    return this.#made.store.list().find(({ requestKey }) => requestKey?.keySha256 === key.keySha256);
  }

  /** The sandboxes that a request of this key made, those not counted that are being removed. */
  sandboxesOf(key: RequestKey | undefined): Sandbox[] {
    if (key === undefined) return [];
    return this.#made.sandboxes
      .list()
      .filter(
        ({ record, isBeingRemoved }) => record.requestKey?.keySha256 === key.keySha256 && !isBeingRemoved,
      );
  }

  /** What a request of this key has kept of the sandbox that it took back; undefined if it has taken none. */
  rolledBack(key: RequestKey | undefined): { readonly keptTag: string | undefined } | undefined {
    const found = key && this.#rollbackOf(key);
    return found && { keptTag: found.kept };
  }

  #rollbackOf({ keySha256 }: RequestKey): (RequestKey & { readonly kept?: string | undefined }) | undefined {
    return this.#made.sandboxes
      .list()
      .flatMap(({ record }) => record.rollbacks ?? [])
      .find((each) => each.keySha256 === keySha256);
  }

  #recordedKeys(key: RequestKey): (RequestKey | undefined)[] {
    return this.sandboxesOf(key).map(({ record }) => record.requestKey);
  }
}
