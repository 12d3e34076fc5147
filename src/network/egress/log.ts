/**
 * What became of a sandbox's connections, as JSON lines. A line is written before what it tells of happens: no
 * traffic without a trace, so who cannot write one refuses.
 */
import { BoundedLog, MiB } from '../../base/index.js';

const MAX_BYTES = 16 * MiB;

export interface LogLine {
  readonly kind: 'tcp' | 'dns' | 'closed' | 'policy' | 'http';
  readonly name?: string | undefined;
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly verdict?: 'allowed' | 'refused' | undefined;
  readonly rule?: string | undefined;
  readonly why?: string | undefined;
  readonly method?: string | undefined;
  /** Names of those that were put into a request. */
  readonly secrets?: readonly string[] | undefined;
  readonly bytes_up?: number;
  readonly bytes_down?: number;
}

export class ConnectionLog {
  readonly #file: BoundedLog;

  /** `maxBytes` that a guest may fill, twice. Throws what opening the file throws. */
  constructor(path: string, maxBytes = MAX_BYTES) {
    this.#file = new BoundedLog(path, { maxBytes, kept: 1 });
    this.#file.open();
  }

  /** Whether the line is in the file now. */
  write(line: LogLine): boolean {
    try {
      this.#file.append(`${JSON.stringify({ at: new Date().toISOString(), ...line })}\n`);
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    this.#file.close();
  }
}
