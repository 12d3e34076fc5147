/** The sandboxes of this daemon, by id, and by name where they have one. */
import { BoughError } from '../../contract/index.js';
import type { Sandbox } from './sandbox.js';

export class SandboxRegistry {
  readonly #byId = new Map<string, Sandbox>();
  /** Names of VMs that are not listed yet, or never. */
  readonly #beingMade = new Set<string>();
  /** Of sandboxes that are being made. */
  readonly #claimedNames = new Set<string>();

  /** Takes note of a VM that is being made, before there is anything of it; until it is added, or given up. */
  begin(vmName: string): void {
    this.#beingMade.add(vmName);
  }

  giveUp(vmName: string): void {
    this.#beingMade.delete(vmName);
  }

  /** In the place of what was listed under its id. */
  add(sandbox: Sandbox): void {
    this.#byId.set(sandbox.id, sandbox);
    this.#beingMade.delete(sandbox.paths.id);
  }

  /** True for a VM that is listed or being made: its folders belong to somebody. */
  owns(vmName: string): boolean {
    return this.#beingMade.has(vmName) || this.list().some(({ paths }) => paths.id === vmName);
  }

  /** By id or name. Throws `sandbox_not_found`. */
  get(id: string): Sandbox {
    const sandbox = this.#byId.get(id) ?? this.#named(id);
    if (sandbox === undefined) throw new BoughError('sandbox_not_found', { id });
    return sandbox;
  }

  #named(name: string): Sandbox | undefined {
    return this.list().find(({ record }) => record.name === name);
  }

  /** Keeps a name for a sandbox that is being made, until what is returned is called. Throws `name_exists`. */
  claimName(name: string | undefined): () => void {
    if (name === undefined) return () => undefined;
    if (this.#claimedNames.has(name) || this.#named(name) !== undefined)
      throw new BoughError('name_exists', { name });
    this.#claimedNames.add(name);
    return () => void this.#claimedNames.delete(name);
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

  /**
   * Ends a sandbox, also one that another VM takes the place of meanwhile; one that cannot be ended now stays listed. True for the one call
   * after which it is so no more.
   */
  async remove(sandbox: Sandbox): Promise<boolean> {
    await sandbox.remove();
    // One that was never listed: others of its request failed.
    this.giveUp(sandbox.paths.id);
    const listed = this.#byId.get(sandbox.id);
    if (listed !== undefined && listed !== sandbox) return this.remove(listed);
    return this.forget(sandbox.id);
  }

  /** True if it was listed. */
  forget(id: string): boolean {
    return this.#byId.delete(id);
  }
}
