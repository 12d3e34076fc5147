/** `bough token rm`: take tokens back. */
import type { Command } from 'commander';
import { nameArguments } from '../../arguments.js';
import type { Context } from '../../context.js';
import { forEach } from '../../each.js';
import { withExample } from '../../example.js';
import { addTokensFileOptions, tokensFileOf, type TokensFileOptions } from '../../tokens-file.js';

export function registerTokenRm(parent: Command, context: Context): void {
  const command = parent
    .command('rm')
    .description(
      'Take tokens back. A daemon refuses them within a second; what they began goes on. Needs no daemon.',
    )
    .argument('<name...>', 'names of tokens', nameArguments);
  addTokensFileOptions(command).action(async (names: string[], options: TokensFileOptions) => {
    const { removeToken } = await import('../../../daemon/auth/tokens-file.js');
    const path = await tokensFileOf(options, context.io);
    await forEach(names, (name) => removeToken(path, name), context.io);
  });
  withExample(command, 'bough token rm ci');
}
