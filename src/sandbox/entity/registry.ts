/** The sandboxes of this daemon, by id. */
import { BoughError } from '../../contract/index.js';
import type { Sandbox } from './sandbox.js';

export class SandboxRegistry {
  readonly #byId = new Map<string, Sandbox>();
  /** Not listed yet, or never. */
  readonly #beingMade = new Set<string>();

  /** Takes note of a VM that is being made, before there is anything of it; until it is added or forgotten. */
  begin(id: string): void {
    this.#beingMade.add(id);
  }

  add(sandbox: Sandbox): void {
    this.#byId.set(sandbox.id, sandbox);
    this.#beingMade.delete(sandbox.id);
  }

  /** True for what is listed or being made: its folders belong to somebody. */
  owns(id: string): boolean {
    return this.#byId.has(id) || this.#beingMade.has(id);
  }

  /** Throws `sandbox_not_found`. */
  get(id: string): Sandbox {
    const sandbox = this.#byId.get(id);
    if (sandbox === undefined) throw new BoughError('sandbox_not_found', { id });
    return sandbox;
  }

  /** Oldest first. */
  list(): Sandbox[] {
    return [...this.#byId.values()];
  }

  /** What runs from a snapshot, by the names that `Store.delete` refuses with. */
  readonly namesOf = (tag: string): string[] =>
    this.list()
      .filter(({ record, state }) => record.snapshotTag === tag && state !== 'failed')
      .map(({ id }) => `sandbox ${id}`);

  /** Ends a sandbox; one that cannot be ended now stays listed. */
  async remove(sandbox: Sandbox): Promise<void> {
    await sandbox.remove();
    this.forget(sandbox.id);
  }

  forget(id: string): void {
    this.#byId.delete(id);
    this.#beingMade.delete(id);
  }
}
