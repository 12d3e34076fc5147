/** Which sandboxes are meant: those named, those that a selector chooses, or all. */

import type { Command } from 'commander';
import type { Sandbox } from '../contract/index.js';
import type { Bough } from '../sdk/index.js';
import { UsageError } from './exit.js';

export interface SelectorOptions {
  selector?: string;
}

export function addSelectorOption(command: Command): Command {
  return command.option('-l, --selector <selector>', 'those whose metadata is so, such as a=b,c!=d,e,!f');
}

/** Throws `UsageError` for names together with a selector: which of them counts would be a guess. */
export async function selectedSandboxes(
  client: Bough,
  names: readonly string[],
  { selector }: SelectorOptions,
): Promise<Sandbox[]> {
  if (names.length === 0) return client.transport.call('listSandboxes', { query: { selector } });
  if (selector !== undefined) throw new UsageError('Name sandboxes or give --selector, not both');
  return Promise.all(names.map((name) => client.sandboxes.get(name)));
}
