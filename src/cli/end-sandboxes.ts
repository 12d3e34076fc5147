/** Ends the sandboxes that are named, or those that a selector chooses. */

import type { Bough } from '../sdk/index.js';
import { forEach } from './each.js';
import { CommandEnd, exitCodes, UsageError } from './exit.js';
import type { Io } from './io.js';
import type { SelectorOptions } from './selected.js';

/** Prints the ids of those that were selected. Throws `UsageError` for neither or both, `CommandEnd` when one could not be ended. */
export async function endSandboxes(
  client: Bough,
  names: readonly string[],
  { selector }: SelectorOptions,
  io: Io,
): Promise<void> {
  if ((names.length === 0) === (selector === undefined))
    throw new UsageError('Name sandboxes or give --selector, one of the two');
  if (selector === undefined) return forEach(names, (name) => client.sandboxes.delete(name), io);
  const { removed, failed } = await client.transport.call('removeSandboxes', { query: { selector } });
  io.stdout(removed.map((id) => `${id}\n`).join(''));
  for (const { id, error } of failed) io.stderr(`error: ${id}: ${error}\n`);
  if (failed.length > 0) throw new CommandEnd(exitCodes.failed);
}
