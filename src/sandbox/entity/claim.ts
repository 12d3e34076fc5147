/** What one piece of work at a time may hold. Who may take it is for its owner to decide. */
import { Deferred } from '../../base/index.js';

export class Claim {
  #over: Promise<undefined> | undefined;

  get isHeld(): boolean {
    return this.#over !== undefined;
  }

  /** Resolves when whoever holds it now has given it back. */
  get over(): Promise<undefined> {
    return this.#over ?? Promise.resolve(undefined);
  }

  /** Held until what is returned is called. Idempotent. */
  take(): () => void {
    const over = new Deferred<undefined>();
    this.#over = over.promise;
    return () => {
      if (this.#over === over.promise) this.#over = undefined;
      over.resolve(undefined);
    };
  }
}
