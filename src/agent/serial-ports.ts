/**
 * The serial ports of one guest. They are opened as they are needed: behind an answer, when fewer than two are free.
 *
 * The lowest that is free is taken, so that a guest that is asked one thing at a time writes the memory of one port only. Streams
 * leave one free, or a few that stay open for hours would send every later call over the network.
 */
import { monotonicMs } from '../base/index.js';
import type { Channel } from './channel.js';
import { SerialPort } from './serial-port.js';

const READY_COUNT = 2;
/** Before one that did not greet is tried again: as long as this for the first time, then twice as long each time. */
const FIRST_REST_MS = 1_000;
const LONGEST_REST_MS = 300_000;

export class SerialPorts {
  readonly #ports: readonly SerialPort[];
  #making: NodeJS.Immediate | undefined;
  #restsUntilMs = 0;
  #hasEnded = false;

  constructor(paths: readonly string[]) {
    this.#ports = paths.map((path) => new SerialPort(path));
  }

  /** Undefined when none is free. */
  take({ isStream }: { readonly isStream: boolean }): Channel | undefined {
    const [first, ...others] = this.#ports.filter((port) => port.isFree);
    return isStream && others.length === 0 ? undefined : first?.take();
  }

  /** Opens another, in a moment, if there should be more. */
  makeReady(): void {
    if (!this.#hasEnded) this.#making ??= setImmediate(() => this.#openOne()).unref();
  }

  /** Closes all, for good. */
  end(): void {
    this.#hasEnded = true;
    this.close();
  }

  /** Closes all. They may be opened again. */
  close(): void {
    clearImmediate(this.#making);
    this.#making = undefined;
    for (const port of this.#ports) port.close();
  }

  #openOne(): void {
    this.#making = undefined;
    const freeCount = this.#ports.filter((port) => port.isFree).length;
    const [port] = this.#ports
      .filter(({ isClosed }) => isClosed)
      .sort((one, other) => one.failureCount - other.failureCount);
    if (freeCount >= READY_COUNT || port === undefined || monotonicMs() < this.#restsUntilMs) return;
    if (port.failureCount > 0)
      this.#restsUntilMs = monotonicMs() + Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** port.failureCount);
    port.open();
  }
}
