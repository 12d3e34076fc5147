/** Work that nobody waits for until its owner stops; its failures are for whoever started it. */
export class WorkSet {
  readonly #underWay = new Set<Promise<unknown>>();
  #settled: Promise<void> | undefined;

  get size(): number {
    return this.#underWay.size;
  }

  /** Counts `work` until it has settled, however it ends. */
  add(work: Promise<unknown>): void {
    const over: Promise<unknown> = work.catch(() => undefined).finally(() => this.#underWay.delete(over));
    this.#underWay.add(over);
  }

  /** Resolves when none is under way, not even what was added meanwhile; never rejects. One wait for all who ask: some give up. */
  settled(): Promise<void> {
    if (this.#underWay.size === 0) return Promise.resolve();
    this.#settled ??= this.#untilSettled();
    return this.#settled;
  }

  async #untilSettled(): Promise<void> {
    do await Promise.all(this.#underWay);
    while (this.#underWay.size > 0);
    // At once: who asks from here on asks for what is added from here on.
    this.#settled = undefined;
  }
}
