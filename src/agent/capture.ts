/** Collects what a program prints up to a limit, as bytes, so that a character cut in two by a frame comes out whole. */

/** Kept of stdout and of stderr each by `exec`. */
export const MAX_CAPTURED_BYTES = 16 << 20;

export class Capture {
  readonly #limitBytes: number;
  readonly #chunks: Buffer[] = [];
  #keptBytes = 0;
  #droppedBytes = 0;

  constructor(limitBytes = MAX_CAPTURED_BYTES) {
    this.#limitBytes = limitBytes;
  }

  get truncated(): boolean {
    return this.#droppedBytes > 0;
  }

  add(bytes: Buffer): void {
    const kept = bytes.subarray(0, this.#limitBytes - this.#keptBytes);
    this.#droppedBytes += bytes.length - kept.length;
    this.#keptBytes += kept.length;
    if (kept.length > 0) this.#chunks.push(kept);
  }

  /** The text, with a line at its end that says how much is missing, if something is. */
  text(): string {
    const text = Buffer.concat(this.#chunks).toString('utf8');
    return this.truncated ? `${text}\n[bough: ${this.#droppedBytes} more bytes left out]\n` : text;
  }
}
