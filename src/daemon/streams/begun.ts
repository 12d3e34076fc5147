/** Waits for the first event, so that what fails at once is a failure and no stream. */
export async function begun<T>(
  events: AsyncGenerator<T, void, undefined>,
): Promise<AsyncGenerator<T, void, undefined>> {
  const first = await events.next();
  return (async function* () {
    try {
      if (first.done !== true) yield first.value;
      yield* events;
    } finally {
      await events.return();
    }
  })();
}
