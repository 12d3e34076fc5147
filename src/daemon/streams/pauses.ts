/** What comes, and `undefined` whenever nothing came for `pauseMs` although it was waited for. */
export async function* withPauses<T>(
  source: AsyncGenerator<T, void, undefined>,
  pauseMs: number,
): AsyncGenerator<T | undefined, void, undefined> {
  let next = source.next();
  try {
    for (;;) {
      const result = await within(next, pauseMs);
      if (result === undefined) yield undefined;
      else if (result.done === true) return;
      else {
        yield result.value;
        next = source.next();
      }
    }
  } finally {
    // Whoever waits for what will not come is woken by the signal of the call, not by this.
    next.catch(() => undefined);
    void source.return().catch(() => undefined);
  }
}

async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
