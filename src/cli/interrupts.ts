/**
 * Signals to a command that runs a program in a guest: they are the program's, as long as one runs.
 *
 * Before and after that, and at the third in any case, `signal` fires, whose reason ends the command with 128 + n. Nothing ends the process
 * itself meanwhile, so what was started can be removed.
 */

import { CommandEnd, statusOfSignal } from './exit.js';
import type { Io, SignalName } from './io.js';

const ENOUGH = 3;

export class Interrupts implements Disposable {
  readonly #abort = new AbortController();
  readonly #stopListening: () => void;
  #receiver: ((name: SignalName) => void) | undefined;
  #count = 0;

  constructor(io: Pick<Io, 'onSignal'>) {
    this.#stopListening = io.onSignal((name) => this.#on(name));
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** From now on they go to `receiver`, until what this returns is called. */
  passTo(receiver: (name: SignalName) => void): () => void {
    this.#receiver = receiver;
    return () => {
      this.#receiver = undefined;
    };
  }

  [Symbol.dispose](): void {
    this.#stopListening();
  }

  #on(name: SignalName): void {
    this.#count += 1;
    if (this.#receiver !== undefined && this.#count < ENOUGH) this.#receiver(name);
    else this.#abort.abort(new CommandEnd(statusOfSignal(name)));
  }
}
