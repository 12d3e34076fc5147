/** The files of a sandbox as a side of a copy. */

import { posix } from 'node:path';
import type { FileEntry, FileOptions, SandboxFiles } from '../../sdk/index.js';
import { BoughApiError } from '../../sdk/index.js';
import { archiveOfLink } from './pack.js';
import type { Found, Side } from './side.js';

/** `name` is what the person called it by. */
export function sandboxSide(name: string, files: SandboxFiles, options: FileOptions): Side {
  return {
    nameOf: (path) => `${name}:${path}`,
    async look(path, { follow }) {
      try {
        return foundOf(await files.stat(path, { ...options, follow }));
      } catch (error) {
        if (error instanceof BoughApiError && error.code === 'file_not_found') return undefined;
        throw error;
      }
    },
    read: (path) => files.stream(path, options),
    pack: (path) => files.pack(path, options),
    write: (path, bytes, mode) =>
      files.write(path, bytes, { ...options, ...(mode === undefined ? {} : { mode }) }),
    async makeFolder(path, mode) {
      await files.makeFolder(path, { ...options, mode });
    },
    async makeLink(path, target) {
      await files.unpack(posix.dirname(path), archiveOfLink(posix.basename(path), target), options);
    },
    async unpack(path, archive) {
      await files.unpack(path, archive, options);
    },
  };
}

function foundOf({ type, mode, target, target_base64: bytes }: FileEntry): Found {
  if (bytes !== undefined) throw new Error('Cannot copy a link that leads to what is no text');
  const isKnown = type === 'file' || type === 'folder' || type === 'link';
  return { type: isKnown ? type : 'other', mode: Number.parseInt(mode, 8), target };
}
