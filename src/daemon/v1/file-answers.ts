/** From a guest's files as the host tells them to the API's objects, and back to paths. */
import { isUtf8 } from 'node:buffer';
import type { FileEntry as HostEntry } from '../../agent/index.js';
import { compact } from '../../base/index.js';
import type { FileEntry, ListLine } from '../../contract/index.js';

/** The bytes that a request names; its schema has seen to it that it does. */
export function pathOf(path: string | undefined, base64: string | undefined): Buffer {
  return base64 === undefined ? Buffer.from(path ?? '') : Buffer.from(base64, 'base64');
}

export function wireEntry(entry: HostEntry): FileEntry {
  return {
    ...named('path', entry.path),
    type: entry.type,
    size_bytes: entry.size,
    mode: entry.mode.toString(8).padStart(4, '0'),
    uid: entry.uid,
    gid: entry.gid,
    modified_at_unix: entry.modifiedAtUnix,
    etag: `"${entry.etag}"`,
    ...(entry.target === undefined ? {} : named('target', entry.target)),
    ...compact({ unreadable: entry.unreadable }),
  };
}

/** As text, or in base64 under another name. */
export function named(name: 'path' | 'target', bytes: Buffer): Record<string, string> {
  return isUtf8(bytes) ? { [name]: bytes.toString() } : { [`${name}_base64`]: bytes.toString('base64') };
}

export function listLine(line: ListLine): Buffer {
  return Buffer.from(`${JSON.stringify(line)}\n`);
}
