/**
 * What came and is not taken yet. One takes, in order; an end or a failure is told after what came before it.
 *
 * Not handled: more than is taken. A WebSocket of a browser cannot be made to wait.
 */
export class Inbox<T> {
  readonly #waiting: T[] = [];
  #end: { readonly error?: unknown } | undefined;
  #wake = (): void => undefined;

  /** For whom takes. */
  push(item: T): void {
    this.#waiting.push(item);
    this.#wake();
  }

  /** Nothing follows; with an error, that is thrown. The first end counts. */
  end(failure: { readonly error?: unknown } = {}): void {
    this.#end ??= failure;
    this.#wake();
  }

  /** All that came and comes. */
  async *taken(): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const item = this.#waiting.shift();
      if (item !== undefined) yield item;
      else if (this.#end === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else if ('error' in this.#end) throw this.#end.error;
      else return;
    }
  }
}
