/**
 * Which user each VMM runs as, where VMMs have users of their own; what one reaches is in vmm-files.ts.
 *
 * The user is chosen at random out of a range that is large, so that the daemons of a host need not agree, and a number does not come back soon. Who has
 * which is in the records, nowhere else: what a daemon that comes back does not find there is free.
 */
import { randomInt } from 'node:crypto';
import { BoughError } from '../../contract/index.js';
import type { UidRange, VmmUser } from '../../vmm/index.js';
import type { SandboxRegistry } from './registry.js';

export class Walls {
  readonly range: UidRange;
  readonly #confined: boolean;
  readonly #sandboxes: Pick<SandboxRegistry, 'owns' | 'list'>;
  /** Of VMs that no record names yet. */
  readonly #starting = new Map<string, number>();

  /** `confined`: what they reach besides is limited too. */
  constructor(range: UidRange, sandboxes: Pick<SandboxRegistry, 'owns' | 'list'>, confined = false) {
    this.range = range;
    this.#confined = confined;
    this.#sandboxes = sandboxes;
  }

  get readersGid(): number {
    return this.range.first;
  }

  /** A user that no other VM has, for the one of that name. Throws `vmm_failed` where every one is in use. */
  take(vmName: string): VmmUser {
    for (const name of this.#starting.keys()) if (!this.#sandboxes.owns(name)) this.#starting.delete(name);
    const used = new Set([...this.#starting.values(), ...this.#sandboxes.list().map(uidOf)]);
    const { first, last } = this.range;
    if (used.size >= last - first) {
      const problem = `every user from ${first + 1} to ${last} has a VM; --vmm-uids is the range`;
      throw new BoughError('vmm_failed', { operation: 'start', problem });
    }
    let uid = randomInt(first + 1, last + 1);
    while (used.has(uid)) uid = uid === last ? first + 1 : uid + 1;
    this.#starting.set(vmName, uid);
    return { uid, readersGid: this.readersGid, ...(this.#confined && { confined: true }) };
  }
}

const uidOf = ({ record }: ReturnType<SandboxRegistry['list']>[number]): number | undefined =>
  record.process?.user?.uid;
