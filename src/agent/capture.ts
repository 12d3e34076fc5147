/** Collects what a program prints up to a limit, as bytes, so that a character cut in two by a frame comes out whole. */

/** Kept of stdout and of stderr each by `exec`. */
export const MAX_CAPTURED_BYTES = 16 << 20;

/** Counts bytes up to a limit, and what comes after it. */
export class OutputLimit {
  #leftBytes: number;
  #leftOutBytes = 0;

  constructor(limitBytes = MAX_CAPTURED_BYTES) {
    this.#leftBytes = limitBytes;
  }

  /** As much of `bytes` as is kept. */
  take(bytes: Buffer): Buffer {
    const kept = bytes.subarray(0, this.#leftBytes);
    this.#leftBytes -= kept.length;
    this.#leftOutBytes += bytes.length - kept.length;
    return kept;
  }

  get truncated(): boolean {
    return this.#leftOutBytes > 0;
  }

  /** A line for the end of the text that says how much is missing; empty if nothing is. */
  get note(): string {
    return this.truncated ? `\n[bough: ${this.#leftOutBytes} more bytes left out]\n` : '';
  }
}

export class Capture {
  readonly #limit = new OutputLimit();
  readonly #chunks: Buffer[] = [];

  get truncated(): boolean {
    return this.#limit.truncated;
  }

  add(bytes: Buffer): void {
    const kept = this.#limit.take(bytes);
    if (kept.length > 0) this.#chunks.push(kept);
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString('utf8') + this.#limit.note;
  }
}
