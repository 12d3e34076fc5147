/**
 * One connection made ahead, so that the next call need not wait for one: two ways between host and guest, of which the
 * guest's own is 2 ms of its processor under TCG.
 *
 * It is made once an answer has come, behind what is done with that, and closed when nobody used it for a while, before the agent does that
 * (a request has to arrive within 15 s). One that the guest closed, or on which it says something unasked, is dropped. A guest that is branched
 * takes its end along, which identify closes in the child as all others.
 */
import { Connection, type ChannelAddress } from './connection.js';

const KEPT_MS = 10_000;

export class SpareConnection {
  readonly #address: ChannelAddress;
  #standing: Connection | undefined;
  #making: NodeJS.Immediate | undefined;
  #keeping: NodeJS.Timeout | undefined;

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
    if (this.#standing === undefined) this.#making ??= setImmediate(() => this.#make()).unref();
  }

  /** Closes it: the agent is about to do so. */
  drop(): void {
    this.#standing?.hangUp();
    this.#forget();
  }

  #make(): void {
    this.#standing = new Connection(this.#address);
    this.#standing.standBy();
    this.#keeping = setTimeout(() => this.drop(), KEPT_MS).unref();
  }

  #forget(): void {
    clearImmediate(this.#making);
    clearTimeout(this.#keeping);
    this.#making = this.#keeping = this.#standing = undefined;
  }
}
