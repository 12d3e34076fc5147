/** Handler: changes of a sandbox's files. */
import type { WatchNews } from '../../agent/index.js';
import { NDJSON_TYPE, type WatchLine } from '../../contract/index.js';
import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../rows/handlers.js';
import { begun } from '../streams/begun.js';
import { KEEP_ALIVE_MS, wireErrorOf } from '../streams/output.js';
import { withPauses } from '../streams/pauses.js';
import { named } from './file-answers.js';
import { subjectOf } from './files.js';
import { knownForm } from './sandbox-id.js';

export function watchHandlers({ files }: Host): Pick<Handlers, 'watchFiles'> {
  return {
    async watchFiles({ params, query }, call) {
      const which = { ...subjectOf(query), recursive: query.recursive };
      const news = await begun(files.watch(knownForm(params), which, call));
      return { type: NDJSON_TYPE, bytes: linesOf(news, call.requestId) };
    },
  };
}

/** A line each. Once it has begun, a failure can only be told in it. */
async function* linesOf(
  news: AsyncGenerator<WatchNews, void, undefined>,
  requestId: string,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const each of withPauses(news, KEEP_ALIVE_MS))
      yield lineOf(each === undefined ? { type: 'keepalive' } : wireNews(each));
    yield lineOf({ type: 'end' });
  } catch (error) {
    const { code, message } = wireErrorOf(requestId)(error);
    yield lineOf({ type: 'error', error: message, code });
  }
}

function wireNews(news: WatchNews): WatchLine {
  if (news.type === 'watching' || news.type === 'missed') return news;
  const path = named('path', news.path);
  if (news.type === 'unwatched') return { type: news.type, ...path };
  return { type: news.type, ...path, ...(news.isFolder ? { folder: true } : {}) };
}

const lineOf = (line: WatchLine): Buffer => Buffer.from(`${JSON.stringify(line)}\n`);
