/**
 * What became of a sandbox's connections, as JSON lines. A line is written before what it tells of happens: no
 * traffic without a trace, so who cannot write one refuses.
 */
import { closeSync, openSync, writeSync } from 'node:fs';

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
  readonly #fd: number;
  #isOpen = true;

  constructor(path: string) {
    this.#fd = openSync(path, 'a', 0o600);
  }

  /** Whether the line is in the file now. */
  write(line: LogLine): boolean {
    if (!this.#isOpen) return false;
    const text = `${JSON.stringify({ at: new Date().toISOString(), ...line })}\n`;
    try {
      return writeSync(this.#fd, text) === Buffer.byteLength(text);
    } catch {
      return false;
    }
  }

  close(): void {
    if (this.#isOpen) closeSync(this.#fd);
    this.#isOpen = false;
  }
}
