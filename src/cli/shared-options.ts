/** Options that may stand before the command or after it; after wins. */

import type { Command } from 'commander';

export const outputForms = ['table', 'json', 'yaml', 'name'] as const;
export type OutputForm = (typeof outputForms)[number];

export interface SharedOptions {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly tlsCa?: string;
  readonly output?: OutputForm;
  readonly quiet?: true;
}

export function sharedOptions(command: Command): SharedOptions {
  const levels: Command[] = [];
  for (let level: Command | null = command; level !== null; level = level.parent) levels.unshift(level);
  return Object.assign({}, ...levels.map((level) => level.opts<SharedOptions>())) as SharedOptions;
}
