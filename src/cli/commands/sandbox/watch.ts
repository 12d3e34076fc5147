/** `bough sandbox watch`: what changes at a path of a sandbox. */

import type { Command } from 'commander';
import type { WatchNews } from '../../../sdk/index.js';
import { sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { addOutputOption } from '../../output.js';
import { printItems } from '../../stream-items.js';

interface WatchOptions {
  recursive?: true;
  user?: string;
}

export function registerWatch(parent: Command, context: Context): void {
  const command = parent
    .command('watch')
    .description(
      'Follow what changes at a path in a sandbox, until that is gone or Ctrl-C. A change may come twice; what could not be told is said.',
    )
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .argument('<path>', 'a file or a folder in it')
    .option('-r, --recursive', 'of a folder: also what is below it')
    .option('-u, --user <user>', 'whom it is done as in the sandbox (default: the user of its image)');
  addOutputOption(addClientOptions(command)).action(
    async (id: string, path: string, { recursive, user }: WatchOptions) => {
      const { files } = (await clientFor(command, context)).sandbox(id);
      const items = (signal: AbortSignal): AsyncIterable<WatchNews> =>
        files.watch(path, { recursive: recursive === true, user, signal });
      await printItems(command, context, items, { line: lineOf, name: pathOf });
    },
  );
  withExample(command, 'bough watch -r $id /srv');
}

function lineOf(news: WatchNews): string {
  if (news.type === 'watching') return `watching ${news.folders === 1 ? 'it' : `${news.folders} folders`}`;
  if (news.type === 'missed') return 'missed    (there were too many changes; some are not told)';
  const kind = news.type !== 'unwatched' && news.folder === true ? '/' : '';
  return `${news.type.padEnd(9)} ${pathOf(news)}${kind}`;
}

/** What is no text is shown in base64. */
function pathOf(news: WatchNews): string {
  if (news.type === 'watching' || news.type === 'missed') return '-';
  const path = news.path ?? news.path_base64 ?? '';
  return path === '' ? '.' : path;
}
