/**
 * A two-way channel to the guest agent: frames down, frames up, each side at its own pace, on one connection.
 *
 * Frames are pulled: while nobody asks for the next one the socket is paused, which slows the agent down, and
 * the agent slows the program down. Sending waits likewise. Closing is what cancels in the guest.
 *
 * Not handled: what frames mean. A channel knows no operation, no end and no deadline; see call.ts.
 */
import { Connection, type ChannelAddress } from './connection.js';
import { encodeFrame, FrameDecoder, type Frame } from './frames.js';

export class Channel {
  readonly #connection: Connection;

  /** A connection of its own, which may still be under way: what is sent meanwhile waits, and a failure is told by `frames()`. */
  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Begins to connect. */
  static open(address: ChannelAddress): Channel {
    return new Channel(new Connection(address));
  }

  /** Whether there ever was a connection, so that something may have arrived. */
  get wasConnected(): boolean {
    return this.#connection.connected;
  }

  get isGone(): boolean {
    return this.#connection.isGone;
  }

  /** Resolves when the guest takes more. Never rejects: that the channel is gone, `frames()` tells. */
  send({ kind, payload }: Frame<Uint8Array>): Promise<void> {
    return this.#connection.write(encodeFrame(kind, payload));
  }

  /**
   * Frames as they come, until the guest closes. Throws AgentProtocolError for what is no frame, the signal's
   * reason, or the socket's error. To be iterated once.
   */
  async *frames(signal: AbortSignal): AsyncGenerator<Frame, void, undefined> {
    const decoder = new FrameDecoder();
    for (;;) {
      const chunk = await this.#connection.read(signal);
      if (chunk === undefined) return;
      yield* decoder.push(chunk);
    }
  }

  /** Hangs up in good order. Idempotent. */
  close(): void {
    this.#connection.hangUp();
  }
}
