/**
 * Where the next call to a guest finds its channel: a serial port that is free, else a connection, which may have been made ahead.
 *
 * The first call to a guest goes over a connection. Once it is answered, what the next one needs is made ready behind that answer.
 */
import { ConnectionChannel, type Channel } from './channel.js';
import { Connection, type ChannelAddress } from './connection.js';
import { SerialPorts } from './serial-ports.js';
import { SpareConnection } from './spare.js';

export class Channels {
  readonly #address: ChannelAddress;
  readonly #ports: SerialPorts | undefined;
  /** For guests that have no ports. */
  readonly #spare: SpareConnection | undefined;

  constructor(
    address: ChannelAddress,
    how: { readonly connectsAhead: boolean; readonly serialSockets: readonly string[] },
  ) {
    this.#address = address;
    const { connectsAhead, serialSockets } = how;
    if (serialSockets.length > 0) this.#ports = new SerialPorts(serialSockets);
    else if (connectsAhead) this.#spare = new SpareConnection(address);
  }

  /** One that nobody else uses. A stream is open for as long as somebody listens. */
  take({ isStream }: { readonly isStream: boolean }): Channel {
    return (
      this.#ports?.take({ isStream }) ??
      new ConnectionChannel(this.#spare?.take() ?? new Connection(this.#address))
    );
  }

  /** A call was answered: there may be another. */
  expectMore(): void {
    this.#ports?.makeReady();
    this.#spare?.makeSoon();
  }

  /** Nobody asks any more. */
  end(): void {
    this.#ports?.end();
    this.#spare?.drop();
  }

  /** Closes what stands ready: the agent is about to do so. */
  drop(): void {
    this.#ports?.close();
    this.#spare?.drop();
  }
}
