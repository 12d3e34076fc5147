/**
 * An undo list for code that acquires several things in a row.
 *
 * The idea: register the undo beside the do. Whoever fails half way closes the stack and everything acquired
 * so far is given back in reverse order; whoever succeeds calls `move()` and hands the undos on to the
 * finished object.
 *
 * Invariant: every undo runs exactly once, also when another undo throws, and `close()` resolves only after
 * the last one.
 */

/** Gives something back; may be asynchronous. */
export type Undo = () => unknown;

/** Undos run in reverse order by `close()`; works with `await using`. */
export class ResourceStack {
  #undos: Undo[] = [];
  #closing: Promise<void> | undefined;

  /** True once `close()` or `move()` was called: nothing can be added any more. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Registers an undo; throws a TypeError on a closed stack, because the undo would never run. */
  defer(undo: Undo): void {
    if (this.closed) throw new TypeError('Cannot defer on a closed ResourceStack');
    this.#undos.push(undo);
  }

  /** Registers `resource.close()` as the undo and returns the resource. */
  use<T extends { close(): unknown }>(resource: T): T {
    this.defer(() => resource.close());
    return resource;
  }

  /** Moves all undos into a new stack and closes this one without running any. */
  move(): ResourceStack {
    if (this.closed) throw new TypeError('Cannot move a closed ResourceStack');
    const moved = new ResourceStack();
    moved.#undos = this.#undos;
    this.#undos = [];
    this.#closing = Promise.resolve();
    return moved;
  }

  /** Runs the undos, last first; rejects with an AggregateError of whatever they threw. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#unwind();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #unwind(): Promise<void> {
    const errors: unknown[] = [];
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      try {
        await undo();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, `${errors.length} undo step(s) failed`);
  }
}
