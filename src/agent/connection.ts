/**
 * A connection that is read one chunk at a time: between two reads the socket is paused, which slows the other
 * side down.
 *
 * It is hung up in good order, also in the middle of output. Destroying it would be a reset, and a reset is
 * what the agent sees when its machine is a fresh branch: it would wait for a while before it cancels
 * anything.
 */
import { connect, type Socket } from 'node:net';
import { abortReason, drained } from '../base/index.js';

const HANG_UP_MS = 2_000;

/** Where a guest's agent is: at the path of a Unix socket, or, where no gate is in the VMM or an earlier version of it, at a port. */
export type ChannelAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** As people write it. */
export const addressText = (address: ChannelAddress): string =>
  'path' in address ? address.path : `${address.host}:${address.port}`;

export class Connection {
  readonly #socket: Socket;
  /** Whether it was ever established. */
  connected = false;
  #error: Error | undefined;
  #isHungUp = false;
  readonly #onUnasked = (): void => {
    this.#endStandBy();
    this.hangUp();
  };

  constructor(address: ChannelAddress) {
    this.#socket = 'path' in address ? connect(address.path) : connect({ ...address, noDelay: true });
    this.#socket.once('connect', () => (this.connected = true));
    this.#socket.on('error', (error) => (this.#error = error));
    this.#socket.pause();
  }

  /**
   * The next bytes; undefined when the other side has closed. Throws the socket's error or the signal's
   * reason.
   */
  read(signal: AbortSignal): Promise<Buffer | undefined> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const settle = (action: () => void): void => {
        socket.off('data', onData).off('end', onEnd).off('close', onEnd);
        signal.removeEventListener('abort', onAbort);
        socket.pause();
        action();
      };
      const onData = (chunk: Buffer): void => settle(() => resolve(chunk));
      const onEnd = (): void =>
        settle(() => (this.#error === undefined ? resolve(undefined) : reject(this.#error)));
      const onAbort = (): void => settle(() => reject(abortReason(signal)));
      if (signal.aborted) {
        onAbort();
      } else if (socket.destroyed || socket.readableEnded) {
        onEnd();
      } else {
        signal.addEventListener('abort', onAbort, { once: true });
        socket.on('data', onData).on('end', onEnd).on('close', onEnd).resume();
      }
    });
  }

  /** Sends bytes; resolves when the other side takes more, or is gone, which reading tells. */
  async write(bytes: Uint8Array): Promise<void> {
    const socket = this.#socket;
    if (!socket.destroyed && !socket.write(bytes)) await drained(socket);
  }

  get isGone(): boolean {
    return this.#socket.destroyed;
  }

  /** Until it is used it keeps no process running, and is hung up when the other side says something or ends. */
  standBy(): void {
    this.#socket.unref().on('data', this.#onUnasked).on('end', this.#onUnasked).resume();
  }

  #endStandBy(): void {
    this.#socket.off('data', this.#onUnasked).off('end', this.#onUnasked);
  }

  /** Ends that; false when it is of no use. */
  beginUse(): boolean {
    this.#endStandBy();
    const socket = this.#socket.ref().pause();
    return !socket.destroyed && !socket.readableEnded && socket.writable;
  }

  /** Closes; what still comes is thrown away for a moment. Idempotent. */
  hangUp(): void {
    const socket = this.#socket;
    if (this.#isHungUp) return;
    this.#isHungUp = true;
    if (!this.connected || socket.destroyed) {
      socket.destroy();
      return;
    }
    const impatience = setTimeout(() => void socket.destroy(), HANG_UP_MS).unref();
    socket.once('close', () => clearTimeout(impatience));
    socket.end();
    socket.resume();
  }
}
