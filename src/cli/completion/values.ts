/** Names that completion offers: asked of the daemon that the environment names, or of this host. What does not answer has none. */

import type { Command } from 'commander';
import { plainLine } from '../../base/table.js';
import { cacheDirOf } from '../cache-dir.js';
import { clientFor, type Context } from '../context.js';
import type { Suggestion, ValueKind, ValuesOf } from './suggestions.js';

/** Nobody waits longer at a TAB. */
const DEADLINE_MS = 2_000;

export function completionValues(command: Command, context: Context): ValuesOf {
  const ask: Record<ValueKind, () => Promise<Suggestion[]>> = {
    sandbox: async () => {
      const { sandboxes } = await clientFor(command, context);
      const all = await sandboxes.list({ signal: AbortSignal.timeout(DEADLINE_MS) });
      return all.map(({ id, name, snapshot_tag: tag }) => ({ word: name ?? id, about: `of ${tag}` }));
    },
    snapshot: async () => {
      const { snapshots } = await clientFor(command, context);
      const all = await snapshots.list({ signal: AbortSignal.timeout(DEADLINE_MS) });
      return all.map(({ tag, status }) => ({ word: tag, about: status }));
    },
    image: async () => {
      const all = await context.providers.listImages(await cacheDirOf({}, context.io));
      return all.map(({ name }) => ({ word: name, about: 'image' }));
    },
  };
  return async (kind) => {
    const found = await ask[kind]().catch(() => []);
    return found.map(({ word, about }) => ({ word: plainLine(word), about: plainLine(about) }));
  };
}
