/**
 * A two-way channel to the guest agent: frames down, frames up, each side at its own pace, on a connection of its own or a
 * serial port's (serial-port.ts).
 *
 * Frames are pulled: while nobody asks for the next one the socket is paused, which slows the agent down, and
 * the agent slows the program down. Sending waits likewise. Closing is what cancels in the guest.
 *
 * Not handled: what frames mean. A channel knows no operation, no end and no deadline; see call.ts.
 */
import { Connection, type ChannelAddress } from './connection.js';
import { encodeFrames, FrameDecoder, type Frame } from './frames.js';

export interface Channel {
  /** Whether there ever was a connection, so that something may have arrived. */
  readonly wasConnected: boolean;
  readonly isGone: boolean;
  /** Sends them in one piece. Resolves when the guest takes more. Never rejects: that the channel is gone, `frames()` tells. */
  send(...frames: readonly Frame<Uint8Array>[]): Promise<void>;
  /**
   * Frames as they come, until the guest closes. Throws AgentProtocolError for what is no frame, the signal's
   * reason, or the socket's error. To be iterated once.
   */
  frames(signal: AbortSignal): AsyncGenerator<Frame, void, undefined>;
  /** Hangs up in good order. Idempotent. */
  close(): void;
}

/** A channel on a connection of its own, which may still be under way: what is sent meanwhile waits, and a failure is told by `frames()`. */
export class ConnectionChannel implements Channel {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Begins to connect. */
  static open(address: ChannelAddress): ConnectionChannel {
    return new ConnectionChannel(new Connection(address));
  }

  get wasConnected(): boolean {
    return this.#connection.connected;
  }

  get isGone(): boolean {
    return this.#connection.isGone;
  }

  send(...frames: readonly Frame<Uint8Array>[]): Promise<void> {
    return this.#connection.write(encodeFrames(frames));
  }

  async *frames(signal: AbortSignal): AsyncGenerator<Frame, void, undefined> {
    const decoder = new FrameDecoder();
    for (;;) {
      const chunk = await this.#connection.read(signal);
      if (chunk === undefined) return;
      yield* decoder.push(chunk);
    }
  }

  close(): void {
    this.#connection.hangUp();
  }
}
