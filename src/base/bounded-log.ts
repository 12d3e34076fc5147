/**
 * A file that is appended to and never longer than so much, with a number of earlier ones beside it:
 *
 *   audit.log ──too long──▶ audit.log.1 ──▶ audit.log.2 ──▶ … the last one is gone; audit.log is begun anew
 *
 * What is appended is in the file when `append` returns, though not on the disk.
 */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { errorCode } from './errno.js';

export interface LogBounds {
  readonly maxBytes: number;
  /** How many earlier files stay. */
  readonly kept: number;
}

export class BoundedLog {
  readonly #path: string;
  readonly #bounds: LogBounds;
  /** Undefined while the file cannot be opened, and once closed. */
  #fd: number | undefined;
  #bytes = 0;
  /** False of a pipe or a device, which has no length and no place of its own. */
  #isFile = true;
  #isClosed = false;

  /** Nothing is opened yet; `open` does, and otherwise the first `append`. */
  constructor(path: string, bounds: LogBounds) {
    this.#path = path;
    this.#bounds = bounds;
  }

  /** Throws what opening the file throws. */
  open(): void {
    if (this.#isClosed || this.#fd !== undefined) return;
    this.#fd = openSync(this.#path, 'a', 0o600);
    const stat = fstatSync(this.#fd);
    this.#isFile = stat.isFile();
    this.#bytes = stat.size;
  }

  /** Throws when the text is not in the file, or not all of it. What cannot be opened is tried again at the next one. */
  append(text: string): void {
    const length = Buffer.byteLength(text);
    this.open();
    if (this.#fd === undefined) throw new Error(`${this.#path} is closed`);
    const isTooLong = this.#bytes > 0 && this.#bytes + length > this.#bounds.maxBytes;
    if (isTooLong && this.#isFile) this.#beginAnew(this.#fd);
    const written = writeSync(this.#fd, text);
    this.#bytes += written;
    if (written !== length) throw new Error(`${this.#path} took ${written} of ${length} bytes`);
  }

  /** Idempotent. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#isClosed = true;
  }

  #beginAnew(fd: number): void {
    for (let age = this.#bounds.kept; age >= 1; age--)
      renameIfThere(age === 1 ? this.#path : `${this.#path}.${age - 1}`, `${this.#path}.${age}`);
    closeSync(fd);
    this.#fd = undefined;
    this.open();
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
