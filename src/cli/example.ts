/** The example under a command's help. */

import type { Command } from 'commander';

const examples = new WeakMap<Command, string>();

/** Shows `example` under the command's help; docs/reference/cli.md shows it too. */
export function withExample(command: Command, example: string): Command {
  examples.set(command, example);
  const lines = example.split('\n').map((line) => `  ${line}`);
  return command.addHelpText('after', `\nExample:\n${lines.join('\n')}`);
}

/** The example given to a command, if any. */
export function exampleOf(command: Command): string | undefined {
  return examples.get(command);
}
