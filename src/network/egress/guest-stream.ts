/**
 * A guest's connection as a stream that TLS can be ended on: what ends it well is announced to the gate first, anything else is a cut,
 * as in `splice`.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

export class GuestStream extends Duplex {
  readonly #guest: Socket;
  readonly #beforeEnd: (done: () => void) => void;

  /** `guest` allows half-open and belongs to the stream from here on. `beforeEnd` as of `splice`. */
  constructor(guest: Socket, beforeEnd: (done: () => void) => void) {
    super({ allowHalfOpen: true });
    this.#guest = guest;
    this.#beforeEnd = beforeEnd;
    guest.on('data', (chunk: Buffer) => {
      if (!this.destroyed && !this.push(chunk)) guest.pause();
    });
    guest.on('end', () => this.push(null));
    guest.on('close', () => this.destroy());
    guest.on('error', () => this.destroy());
    guest.pause();
  }

  override _read(): void {
    this.#guest.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#guest.write(chunk, done);
  }

  override _final(done: () => void): void {
    if (this.#guest.destroyed) {
      done();
      return;
    }
    this.#beforeEnd(() => this.#guest.end(done));
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // One that was ended closes by itself, once all that is on its way has been taken and the guest ends it too.
    if (this.#guest.writableEnded) this.#guest.resume();
    else this.#guest.destroy();
    done(error);
  }
}
