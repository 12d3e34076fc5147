/** `bough completion`: a script that lets a shell complete this command's words. */

import { Argument, type Command } from 'commander';
import { completionScripts, type Shell } from '../completion/scripts.js';
import { suggestions } from '../completion/suggestions.js';
import { completionValues } from '../completion/values.js';
import type { Context } from '../context.js';
import { withExample } from '../example.js';

export function registerCompletion(program: Command, context: Context): void {
  const { io } = context;
  const command = program
    .command('completion')
    .description('Print what makes a shell complete commands, options, sandboxes and tags.')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(completionScripts)))
    .action((shell: Shell) => io.stdout(completionScripts[shell]));
  withExample(
    command,
    'bough completion bash > /etc/bash_completion.d/bough\nsource <(bough completion zsh)         # in ~/.zshrc, after compinit; for bash in ~/.bashrc\nbough completion fish | source         # in ~/.config/fish/config.fish',
  );

  const complete = program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .action(async (words: string[]) => {
      const values = completionValues(complete, context);
      const found = await suggestions(program, words[0] === '--' ? words.slice(1) : words, values);
      io.stdout(found.map(({ word, about }) => `${word}\t${about}\n`).join(''));
    });
}
