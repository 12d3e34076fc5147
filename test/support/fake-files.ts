/** Files of a host without VMs: one folder of files, by the bytes of their paths. */
import type { FileEntry } from '../../src/agent/index.js';
import { BoughError } from '../../src/contract/index.js';
import type { FilesHost } from '../../src/sandbox/host/guest-files.js';

interface FakeFile {
  readonly bytes: Buffer;
  readonly mode: number;
  readonly version: number;
}

/** Paths below it have no size, as those of a kernel's. */
const UNSIZED = '/proc/';

/** `check` throws for a sandbox there is not. */
export function fakeFiles(check: (id: string) => void): FilesHost {
  const all = new Map<string, FakeFile>();
  let version = 0;
  const keyOf = (path: Uint8Array): string => Buffer.from(path).toString('latin1');
  const find = async (id: string, path: Uint8Array): Promise<FakeFile> => {
    await ready(id);
    const found = all.get(keyOf(path));
    if (found === undefined)
      throw new BoughError('file_not_found', { id, problem: 'No such file or directory' });
    return found;
  };
  const ready = async (id: string): Promise<void> => {
    check(id);
    await Promise.resolve();
  };
  const entryOf = (path: Uint8Array, { bytes, mode, version: tag }: FakeFile): FileEntry => ({
    ...{ path: Buffer.from(path), type: 'file', size: bytes.length, mode, uid: 0, gid: 0 },
    ...{ modifiedAtUnix: 1_700_000_000, etag: `a-${tag.toString(16)}` },
  });
  const put = (path: Uint8Array, bytes: Buffer, mode: number): FileEntry => {
    const file = { bytes, mode, version: (version += 1) };
    all.set(keyOf(path), file);
    return entryOf(path, file);
  };
  const refuseThere = (id: string, path: Uint8Array): void => {
    if (all.has(keyOf(path))) throw new BoughError('file_exists', { id, problem: 'File exists' });
  };
  const host: FilesHost = {
    async read(id, { path, from = 0, length, last }) {
      const file = await find(id, path);
      const isSized = !keyOf(path).startsWith(UNSIZED);
      const size = file.bytes.length;
      const start = !isSized ? 0 : last === undefined ? Math.min(from, size) : Math.max(0, size - last);
      const wanted = file.bytes.subarray(start, isSized && length !== undefined ? start + length : undefined);
      async function* pieces(): AsyncGenerator<Buffer, void, undefined> {
        for (let at = 0; at < wanted.length; at += 1000)
          yield await Promise.resolve(wanted.subarray(at, at + 1000));
      }
      return {
        ...{ file: entryOf(path, file), from: start, isSized, bytes: pieces() },
        close: () => Promise.resolve(),
      };
    },
    async write(id, { path, bytes, mode = 0o644, exclusive }) {
      await ready(id);
      if (exclusive === true) refuseThere(id, path);
      const pieces: Uint8Array[] = [];
      const given = typeof bytes === 'string' || bytes instanceof Uint8Array ? [Buffer.from(bytes)] : bytes;
      for await (const piece of given) pieces.push(piece);
      return put(path, Buffer.concat(pieces), mode);
    },
    stat: async (id, { path }) => entryOf(path, await find(id, path)),
    async *list(id, { path }) {
      await ready(id);
      if (keyOf(path) === 'absent') await find(id, path);
      for (const [key, file] of all) yield entryOf(Buffer.from(key, 'latin1'), file);
    },
    async *watch(id) {
      await ready(id);
      yield { type: 'watching', folders: 1 };
      yield { type: 'created', path: Buffer.from('seen'), isFolder: false };
      yield { type: 'missed' };
    },
    async pack(id, { path }) {
      const { bytes } = await find(id, path);
      return (async function* (): AsyncGenerator<Buffer, void, undefined> {
        yield await Promise.resolve(bytes);
      })();
    },
    async unpack(id, { path, bytes }) {
      await host.write(id, { path, bytes }, {} as never);
      return 1;
    },
    async makeFolder(id, { path, mode = 0o755 }) {
      await ready(id);
      refuseThere(id, path);
      return { ...put(path, Buffer.alloc(0), mode), type: 'folder' };
    },
    async move(id, { path, to, replace }) {
      const { bytes, mode } = await find(id, path);
      if (replace !== true) refuseThere(id, to);
      all.delete(keyOf(path));
      return put(to, bytes, mode);
    },
    async remove(id, { path }) {
      await find(id, path);
      all.delete(keyOf(path));
    },
  };
  return host;
}
