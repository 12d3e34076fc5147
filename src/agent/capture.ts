/** Collects what a program prints up to a limit, as bytes, so that a character cut in two by a frame comes out whole. */

/** Kept of stdout and of stderr each by `exec`. */
export const MAX_CAPTURED_BYTES = 16 << 20;

/** Smaller pieces are joined: each for itself would take more memory than its bytes, and a program may print a byte at a time. */
const SMALL_BYTES = 4 << 10;
const BLOCK_BYTES = 16 << 10;

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
  /** Room for small pieces, one behind the other, and how much of it they fill. */
  #block = Buffer.alloc(0);
  #blockBytes = 0;

  get truncated(): boolean {
    return this.#limit.truncated;
  }

  add(bytes: Buffer): void {
    const kept = this.#limit.take(bytes);
    if (kept.length < SMALL_BYTES) {
      this.#join(kept);
    } else {
      this.#endBlock();
      this.#chunks.push(kept);
    }
  }

  text(): string {
    this.#endBlock();
    return Buffer.concat(this.#chunks).toString('utf8') + this.#limit.note;
  }

  #join(piece: Buffer): void {
    if (this.#blockBytes + piece.length > this.#block.length) {
      this.#endBlock();
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    }
    this.#blockBytes += piece.copy(this.#block, this.#blockBytes);
  }

  /** What is filled is a piece from here on; the rest is room still. */
  #endBlock(): void {
    if (this.#blockBytes === 0) return;
    this.#chunks.push(this.#block.subarray(0, this.#blockBytes));
    this.#block = this.#block.subarray(this.#blockBytes);
    this.#blockBytes = 0;
  }
}
