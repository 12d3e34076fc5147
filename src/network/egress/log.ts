/**
 * What became of a sandbox's connections, as JSON lines. A line is written before what it tells of happens: no
 * traffic without a trace, so who cannot write one refuses.
 *
 *   network.log ──too long──▶ network.log.1, in the place of an older one; network.log is begun anew
 */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { errorCode, MiB } from '../../base/index.js';

const MAX_BYTES = 16 * MiB;

export interface LogLine {
  readonly kind: 'tcp' | 'dns' | 'closed' | 'policy';
  readonly name?: string | undefined;
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly verdict?: 'allowed' | 'refused' | undefined;
  readonly rule?: string | undefined;
  readonly why?: string | undefined;
  readonly bytes_up?: number;
  readonly bytes_down?: number;
}

export class ConnectionLog {
  readonly #path: string;
  readonly #maxBytes: number;
  /** Undefined once closed, and while the file cannot be opened. */
  #fd: number | undefined;
  #bytes: number;
  #isClosed = false;

  /** `maxBytes` that a guest may fill, twice. Throws what opening the file throws. */
  constructor(path: string, maxBytes = MAX_BYTES) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#fd = open(path);
    this.#bytes = fstatSync(this.#fd).size;
  }

  /** Whether the line is in the file now. */
  write(line: LogLine): boolean {
    const text = `${JSON.stringify({ at: new Date().toISOString(), ...line })}\n`;
    const length = Buffer.byteLength(text);
    try {
      if (this.#bytes > 0 && this.#bytes + length > this.#maxBytes) this.#beginAnew();
      if (this.#fd === undefined) return false;
      const written = writeSync(this.#fd, text);
      this.#bytes += written;
      return written === length;
    } catch {
      return false;
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#isClosed = true;
  }

  /** What cannot be opened is tried again at the next line. */
  #beginAnew(): void {
    if (this.#isClosed) return;
    if (this.#fd !== undefined) {
      putAside(this.#path);
      closeSync(this.#fd);
      this.#fd = undefined;
    }
    this.#fd = open(this.#path);
    this.#bytes = 0;
  }
}

/** Unless somebody else has. */
function putAside(path: string): void {
  try {
    renameSync(path, `${path}.1`);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

function open(path: string): number {
  return openSync(path, 'a', 0o600);
}
