/**
 * One connection made ahead, so that the next call need not wait for one: two ways between host and guest, of which the
 * guest's own is 2 ms of its processor under TCG.
 *
 * It is made a moment after a call was answered, and closed when nobody used it for a while, before the agent does that (a request has to
 * arrive within 15 s). One that the guest closed, or on which it says something unasked, is dropped. A guest that is branched takes its end
 * along, which identify closes in the child as all others.
 */
import { Connection, type ChannelAddress } from './connection.js';

/** What was asked for is still being cleaned up after in the guest; and who asks without a pause gains nothing. */
const MADE_AFTER_MS = 5;
const KEPT_MS = 10_000;

export class SpareConnection {
  readonly #address: ChannelAddress;
  #standing: Connection | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(address: ChannelAddress) {
    this.#address = address;
  }

  /** The one that stands by, or one that begins to connect. */
  take(): Connection {
    const standing = this.#standing;
    this.#forget();
    return standing?.beginUse() === true ? standing : new Connection(this.#address);
  }

  /** A call was answered: there may be another. */
  makeSoon(): void {
    if (this.#timer === undefined) this.#after(MADE_AFTER_MS, () => this.#make());
  }

  /** Closes it: the agent is about to do so. */
  drop(): void {
    this.#standing?.hangUp();
    this.#forget();
  }

  #make(): void {
    this.#standing = new Connection(this.#address);
    this.#standing.standBy();
    this.#after(KEPT_MS, () => this.drop());
  }

  #after(afterMs: number, work: () => void): void {
    this.#timer = setTimeout(work, afterMs).unref();
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#standing = undefined;
  }
}
