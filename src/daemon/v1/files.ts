/** Handlers: files of a sandbox. */

import type { IncomingHttpHeaders } from 'node:http';
import type { FileEntry, FileReading, FileSubject } from '../../agent/index.js';
import { compact } from '../../base/index.js';
import { BoughError, NDJSON_TYPE } from '../../contract/index.js';
import type { CallContext } from '../../sandbox/host/call.js';
import type { FilesHost } from '../../sandbox/host/guest-files.js';
import type { Host } from '../../sandbox/host/host.js';
import type { Handlers, StreamAnswer } from '../rows/handlers.js';
import { begun } from '../streams/begun.js';
import { wireErrorOf, KEEP_ALIVE_MS } from '../streams/output.js';
import { withPauses } from '../streams/pauses.js';
import { listLine, pathOf, wireEntry } from './file-answers.js';
import { continues, hasAlready, rangeOf } from './file-range.js';
import { knownForm } from './sandbox-id.js';

type FileRoute =
  | 'readFile'
  | 'headFile'
  | 'writeFile'
  | 'removeFile'
  | 'statFile'
  | 'listFolder'
  | 'makeFolder'
  | 'moveFile'
  | 'packTree'
  | 'unpackTree';

export function fileHandlers({ files }: Host): Pick<Handlers, FileRoute> {
  return {
    readFile: ({ params, query, headers }, call) =>
      answerWith(files, { id: knownForm(params), subject: subjectOf(query), headers }, call),
    async headFile({ params, query, headers }, call) {
      const asked = { id: knownForm(params), subject: subjectOf(query), headers };
      const { status, headers: answered, close } = await answerWith(files, asked, call);
      await close?.();
      return compact({ status, headers: answered });
    },
    async writeFile({ params, query, headers, body }, call) {
      const { mode, parents } = query;
      const exclusive = headers['if-none-match']?.trim() === '*';
      const what = { ...subjectOf(query), ...compact({ mode }), parents, exclusive, bytes: body };
      return { headers: { etag: etagOf(await files.write(knownForm(params), what, call)) } };
    },
    async removeFile({ params, query }, call) {
      await files.remove(knownForm(params), { ...subjectOf(query), recursive: query.recursive }, call);
      return undefined;
    },
    statFile: async ({ params, query }, call) =>
      wireEntry(await files.stat(knownForm(params), { ...subjectOf(query), follow: query.follow }, call)),
    async listFolder({ params, query }, call) {
      const entries = files.list(knownForm(params), { ...subjectOf(query), depth: query.depth }, call);
      return { type: NDJSON_TYPE, bytes: linesOf(await begun(entries), call.requestId) };
    },
    packTree: async ({ params, query }, call) => ({
      bytes: await files.pack(knownForm(params), subjectOf(query), call),
    }),
    async unpackTree({ params, query, body }, call) {
      const what = { ...subjectOf(query), parents: query.parents, bytes: body };
      return { headers: { 'bough-entries': String(await files.unpack(knownForm(params), what, call)) } };
    },
    async makeFolder({ params, body }, call) {
      const { mode, parents } = body;
      const what = { ...subjectOf(body), ...compact({ mode }), parents };
      return wireEntry(await files.makeFolder(knownForm(params), what, call));
    },
    async moveFile({ params, body }, call) {
      const { replace, parents } = body;
      const what = { ...subjectOf(body), to: pathOf(body.to, body.to_base64), replace, parents };
      return wireEntry(await files.move(knownForm(params), what, call));
    },
  };
}

interface Subject {
  readonly path?: string | undefined;
  readonly path_base64?: string | undefined;
  readonly user?: string | undefined;
}

export function subjectOf({ path, path_base64: base64, user }: Subject): FileSubject {
  return compact({ path: pathOf(path, base64), user });
}

const etagOf = ({ etag }: FileEntry): string => `"${etag}"`;

interface AskedFile {
  readonly id: string;
  readonly subject: FileSubject;
  readonly headers: IncomingHttpHeaders;
}

type FileAnswer = StreamAnswer & { readonly close?: () => Promise<void> };

/** The file, a part of it, or that the client has it already. */
async function answerWith(
  files: FilesHost,
  { id, subject, headers }: AskedFile,
  call: CallContext,
): Promise<FileAnswer> {
  const range = rangeOf(headers);
  let reading = await files.read(id, { ...subject, ...range }, call);
  let isPart = range !== undefined && reading.isSized;
  if (isPart && !continues(headers, etagOf(reading.file))) {
    await reading.close();
    reading = await files.read(id, subject, call);
    isPart = false;
  }
  if (hasAlready(headers, etagOf(reading.file))) {
    await reading.close();
    return { status: 304, headers: { etag: etagOf(reading.file) } };
  }
  if (!reading.isSized) return { headers: { etag: etagOf(reading.file) }, ...reading };
  return isPart ? part(reading, range?.length) : whole(reading);
}

function whole({ file, bytes, close }: FileReading): FileAnswer {
  const headers = {
    etag: etagOf(file),
    'accept-ranges': 'bytes',
    'content-length': String(file.size),
  };
  return { headers, bytes: exactly(bytes, file.size), close };
}

async function part(
  { file, from, bytes, close }: FileReading,
  length = Number.MAX_SAFE_INTEGER,
): Promise<FileAnswer> {
  const count = Math.min(length, file.size - from);
  if (count <= 0) {
    await close();
    throw new BoughError('range_not_satisfiable', { sizeBytes: file.size });
  }
  const headers = {
    etag: etagOf(file),
    'accept-ranges': 'bytes',
    'content-range': `bytes ${from}-${from + count - 1}/${file.size}`,
    'content-length': String(count),
  };
  return { status: 206, headers, bytes: exactly(bytes, count), close };
}

/** As many bytes as were promised: a guest that sends others would shift all that follows on the connection. */
async function* exactly(
  bytes: AsyncIterable<Buffer>,
  count: number,
): AsyncGenerator<Buffer, void, undefined> {
  let left = count;
  for await (const piece of bytes) {
    left -= piece.length;
    if (left < 0) break;
    yield piece;
  }
  if (left !== 0) throw new Error(`The guest sent ${count - left} bytes of a file's ${count}`);
}

/** A line each. Once it has begun, a failure can only be told in it. */
async function* linesOf(
  entries: AsyncGenerator<FileEntry, void, undefined>,
  requestId: string,
): AsyncGenerator<Buffer, void, undefined> {
  let count = 0;
  try {
    for await (const entry of withPauses(entries, KEEP_ALIVE_MS)) {
      if (entry === undefined) yield listLine({ type: 'keepalive' });
      else {
        count += 1;
        yield listLine({ type: 'entry', entry: wireEntry(entry) });
      }
    }
    yield listLine({ type: 'end', entries: count });
  } catch (error) {
    const { code, message } = wireErrorOf(requestId)(error);
    yield listLine({ type: 'error', error: message, code });
  }
}
