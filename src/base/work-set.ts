/** Work that nobody waits for until its owner stops; its failures are for whoever started it. */
export class WorkSet {
  readonly #underWay = new Set<Promise<unknown>>();

  get size(): number {
    return this.#underWay.size;
  }

  /** Counts `work` until it has settled, however it ends. */
  add(work: Promise<unknown>): void {
    const over: Promise<unknown> = work.catch(() => undefined).finally(() => this.#underWay.delete(over));
    this.#underWay.add(over);
  }

  /** Resolves when none is under way, not even what was added meanwhile; never rejects. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }
}
