/** A connection to a port of a guest as two streams, over a WebSocket: binary messages are its bytes, an empty one the end of a direction. */

import { BoughUnreachable, failureTold } from './errors.js';
import type { SocketListener, WebSocketLike } from './socket.js';

const MAX_MESSAGE_BYTES = 256 << 10;
/** Of what was not read yet, and of what has not left yet. */
const HIGH_WATER_BYTES = 1 << 20;
/** No WebSocket tells when it has sent what it was given. */
const LOOK_AGAIN_MS = 5;
const NORMAL = 1000;
const FAILED = 1011;

/**
 * A connection to a TCP port of a guest. Each direction has its own end: to close `writable` leaves `readable` open. Failures are told by
 * both; that nobody listens there by code `port_unreachable`.
 *
 * Where the WebSocket cannot be paused (browsers), what is not read piles up here.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * await using connection = await sandbox.ports.connect(1);
 * const failed = await connection.text().catch((reason: unknown) => reason);
 * console.log(failed instanceof BoughApiError && failed.code); // port_unreachable
 * ```
 */
export class PortConnection implements AsyncDisposable {
  /** What the program sends, until it sends no more. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What it is sent, at the pace at which it takes it where the WebSocket tells. */
  readonly writable: WritableStream<Uint8Array>;
  readonly #state: ConnectionState;

  constructor(state: ConnectionState) {
    this.#state = state;
    this.readable = state.readable;
    this.writable = state.writable;
  }

  /**
   * Sends bytes, or text, and nothing after that.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const connection = await sandbox.ports.connect(1);
   * const failed = await connection.end('GET / HTTP/1.0\r\n\r\n').then(() => connection.text()).catch((reason: unknown) => reason);
   * console.log(failed instanceof BoughApiError); // true
   * ```
   */
  async end(data: string | Uint8Array): Promise<void> {
    const writer = this.writable.getWriter();
    await writer.write(typeof data === 'string' ? new TextEncoder().encode(data) : data);
    await writer.close();
  }

  /**
   * All that it sends, as text.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const connection = await sandbox.ports.connect(1);
   * await connection.text().catch(({ code }: { code: string }) => console.log(code)); // port_unreachable
   * ```
   */
  text(): Promise<string> {
    return new Response(this.readable).text();
  }

  /**
   * Ends it both ways at once; the program sees a reset.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const connection = await sandbox.ports.connect(1);
   * connection.close();
   * ```
   */
  close(): void {
    this.#state.close();
  }

  /** What `await using` calls: the same as `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

/** Both streams of a connection, and who puts into them what its WebSocket brings. */
export class ConnectionState implements SocketListener {
  /** What comes. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What is sent. */
  readonly writable: WritableStream<Uint8Array>;
  readonly #about: { readonly url: string; readonly signal?: AbortSignal | undefined };
  #socket: WebSocketLike | undefined;
  #reader!: ReadableStreamDefaultController<Uint8Array>;
  #writer!: WritableStreamDefaultController;
  #hasEnded = { up: false, down: false };
  #failure: { readonly error: unknown } | undefined;

  constructor(about: { readonly url: string; readonly signal?: AbortSignal | undefined }) {
    this.#about = about;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#reader = controller),
        pull: () => this.#socket?.resume?.(),
        cancel: () => this.close(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER_BYTES }),
    );
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => void (this.#writer = controller),
      write: (bytes) => this.#write(bytes),
      close: () => this.#end('up', () => this.#socket?.send(new Uint8Array())),
      abort: () => this.close(),
    });
  }

  /** From now on what is written leaves by it. */
  opened(socket: WebSocketLike): void {
    this.#socket = socket;
  }

  /** A piece of what comes; nothing is its end. */
  onMessage(bytes: Uint8Array): void {
    if (this.#hasEnded.down) return;
    if (bytes.length === 0) this.#end('down', () => this.#reader.close());
    else {
      this.#reader.enqueue(bytes);
      if ((this.#reader.desiredSize ?? 0) <= 0) this.#socket?.pause?.();
    }
  }

  /** Ends both streams: with the failure that the code and the reason tell of, unless all was said. */
  onClose(code: number, reason: string): void {
    const { url, signal } = this.#about;
    if (signal?.aborted === true) this.#fail(signal.reason);
    else if (code === FAILED) this.#fail(failureTold(reason, `The connection to the port failed: ${reason}`));
    else if (code !== NORMAL) this.#fail(new BoughUnreachable(url, 'the connection was lost'));
    else this.#fail(new TypeError('The connection is closed'));
  }

  /** Ends both ways at once. */
  close(): void {
    this.#fail(new TypeError('The connection is closed'));
    // One that is paused would not hear the goodbye.
    this.#socket?.resume?.();
    this.#socket?.close();
  }

  get #hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += MAX_MESSAGE_BYTES) {
      if (this.#failure !== undefined) throw this.#failure.error;
      this.#socket?.send(new Uint8Array(bytes.subarray(at, at + MAX_MESSAGE_BYTES)));
      while ((this.#socket?.bufferedAmount ?? 0) > HIGH_WATER_BYTES && !this.#hasFailed)
        await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }

  #end(direction: 'up' | 'down', how: () => void): void {
    this.#hasEnded[direction] = true;
    how();
  }

  /** Ends what has not ended in good order. The first failure counts. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    if (!this.#hasEnded.down) this.#end('down', () => this.#reader.error(error));
    if (!this.#hasEnded.up) this.#end('up', () => this.#writer.error(error));
  }
}
