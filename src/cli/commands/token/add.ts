/** `bough token add`: a token for somebody, shown once. */
import { Option, type Command } from 'commander';
import { scopes, type Scope } from '../../../contract/v1/scopes.js';
import { nameArgument } from '../../arguments.js';
import type { Context } from '../../context.js';
import { withExample } from '../../example.js';
import { printResult } from '../../output.js';
import { addTokensFileOptions, tokensFileOf, type TokensFileOptions } from '../../tokens-file.js';

interface AddOptions extends TokensFileOptions {
  readonly scope: Scope;
}

export function registerTokenAdd(parent: Command, context: Context): void {
  const command = parent
    .command('add')
    .description(
      'Make a token and print it; it is kept nowhere. A daemon takes it within a second, and takes nobody without one any more. Needs no daemon.',
    )
    .argument('<name>', 'whose it is; the log names callers by it', nameArgument)
    .addOption(
      new Option(
        '--scope <scope>',
        '`read` sees what there is, `exec` uses sandboxes besides, `admin` does everything',
      )
        .choices(scopes)
        .makeOptionMandatory(),
    );
  addTokensFileOptions(command).action(async (name: string, { scope, ...options }: AddOptions) => {
    const { addToken } = await import('../../../daemon/auth/tokens-file.js');
    const path = await tokensFileOf(options, context.io);
    const token = await addToken(path, name, scope);
    const words = `"${name}" may ${scope}; it is shown this once, e2b_${token.slice('bough_'.length)} is the same`;
    printResult(command, context, { name, scope, token }, { lines: [token], words });
  });
  withExample(command, 'bough token add ci --scope exec');
}
