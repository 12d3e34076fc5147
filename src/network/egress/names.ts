/**
 * The names a sandbox has asked for: each has an address of its own, so that a connection names its name.
 *
 * The addresses are of a block that nobody announces and that programs' own guards take for public; blocks for
 * private use or benchmarks are refused by those. An address of the block that was not given out is an address
 * like any other. Which one a name gets follows from the name, so most are the same after a restart.
 */
import { createHash } from 'node:crypto';
import { addressOfBytes, type Address } from '../address.js';

/** 28.0.0.0/12. */
const BLOCK_FIRST = 0x1c00_0000;
const BLOCK_SIZE = 1 << 20;
const MAX_NAMES = 4096;

export type NameEntry = readonly [name: string, address: string];

export class NameTable {
  readonly #byName = new Map<string, string>();
  readonly #byAddress = new Map<string, string>();

  /** Later entries win, as in a file that is appended to. */
  constructor(entries: Iterable<NameEntry> = []) {
    for (const [name, address] of entries) this.#set(name, address);
  }

  nameOf(address: Address): string | undefined {
    return this.#byAddress.get(address.toString());
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** The four bytes of the address of a name; undefined if there are too many names. */
  addressOf(name: string): number[] | undefined {
    const address = this.#byName.get(name) ?? this.#give(name);
    return address?.split('.').map(Number);
  }

  /** As if it had never been asked for. */
  forget(name: string): void {
    this.#byAddress.delete(this.#byName.get(name) ?? '');
    this.#byName.delete(name);
  }

  /** For a child, or a file. */
  entries(): NameEntry[] {
    return [...this.#byName];
  }

  #give(name: string): string | undefined {
    if (this.#byName.size >= MAX_NAMES) return undefined;
    const start = createHash('sha256').update(name).digest().readUInt32BE(0);
    for (let step = 0; ; step++) {
      const number = BLOCK_FIRST + ((start + step) % BLOCK_SIZE);
      const bytes = [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff);
      const address = addressOfBytes(Uint8Array.from(bytes)).toString();
      if (this.#byAddress.has(address)) continue;
      this.#set(name, address);
      return address;
    }
  }

  #set(name: string, address: string): void {
    this.#byName.set(name, address);
    this.#byAddress.set(address, name);
  }
}
