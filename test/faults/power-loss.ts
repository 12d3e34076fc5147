/**
 * Disks as they may look after a power loss, made up from what a process told its file system (power-loss.c
 * notes it).
 *
 * The model is harsher than a journal: of what was not synced, any part may have reached the disk, in any
 * order.
 *
 *     a file's bytes      each write since its last fsync is there or not, in pieces of 4 KiB; cuts of its length likewise
 *     a folder's names    the changes since its last fsync up to any point; folders independently of each other,
 *                         a rename between two of them in both or in neither
 *
 * Or, for every other disk, as with a journal: all names up to one moment, bytes as above.
 */
import { link, lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { basename } from 'node:path/posix';
import type { Seeded } from './seeded.js';

const HEAD_BYTES = 25;
const PIECE_BYTES = 4096;

interface File {
  readonly kind: 'file';
  readonly changes: {
    readonly at: number;
    readonly apply: (content: Buffer, keep: () => boolean) => Buffer;
  }[];
  readonly syncs: number[];
  readonly initial: Buffer;
}
interface Folder {
  readonly kind: 'folder';
  /** Names as the process sees them, at the end. */
  readonly names: Map<string, Node>;
  readonly initial: Map<string, Node>;
  readonly changes: NameChange[];
  readonly syncs: number[];
}
type Node = File | Folder;

/** One call: names that change together, in one folder or in two. */
interface NameChange {
  readonly at: number;
  readonly parts: readonly {
    readonly folder: Folder;
    readonly name: string;
    readonly to: Node | undefined;
  }[];
}

const newFolder = (): Folder => ({
  kind: 'folder',
  names: new Map(),
  initial: new Map(),
  changes: [],
  syncs: [],
});
const newFile = (initial: Buffer): File => ({ kind: 'file', changes: [], syncs: [], initial });

/** What a folder held, and what was done to it since. */
export class DiskHistory {
  /** How many changes were noted. */
  length = 0;
  readonly #root = newFolder();
  readonly #byInode = new Map<bigint, Node>();
  readonly #marks = new Map<string, number>();

  /** Reads a folder that nobody changes meanwhile. */
  static async of(path: string): Promise<DiskHistory> {
    const history = new DiskHistory();
    await history.#scan(path, history.#root);
    return history;
  }

  async #scan(path: string, folder: Folder): Promise<void> {
    this.#byInode.set((await lstat(path, { bigint: true })).ino, folder);
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const below = join(path, entry.name);
      const { ino } = await lstat(below, { bigint: true });
      const known = this.#byInode.get(ino);
      const node = entry.isDirectory() ? newFolder() : (known ?? newFile(await readFile(below)));
      this.#byInode.set(ino, node);
      folder.names.set(entry.name, node);
      folder.initial.set(entry.name, node);
      if (node.kind === 'folder') await this.#scan(below, node);
    }
  }

  /** Adds what was noted; `withoutSyncs` as if nobody had ever synced. */
  add(log: Buffer, { withoutSyncs = false } = {}): void {
    for (let at = 0; at < log.length;) {
      const kind = String.fromCharCode(log[at] ?? 0);
      const inode = log.readBigUInt64LE(at + 1);
      const offset = Number(log.readBigUInt64LE(at + 9));
      const [a, b] = [log.readUInt32LE(at + 17), log.readUInt32LE(at + 21)];
      const first = log.subarray(at + HEAD_BYTES, at + HEAD_BYTES + a);
      const second = log.subarray(at + HEAD_BYTES + a, at + HEAD_BYTES + a + b);
      at += HEAD_BYTES + a + b;
      if (!(withoutSyncs && kind === 's')) this.#note(kind, inode, offset, first.toString(), second);
      this.length += 1;
    }
  }

  /** When a folder of that name was made in the root: marks of the process itself. */
  whenMade(name: string): number {
    return this.#marks.get(name) ?? Infinity;
  }

  #note(kind: string, inode: bigint, offset: number, path: string, data: Buffer): void {
    const at = this.length;
    const node = this.#byInode.get(inode);
    if (kind === 's') node?.syncs.push(at);
    else if (kind === 'w' || kind === 't') {
      if (node?.kind !== 'file') throw new Error(`A write to inode ${inode}, which nobody made`);
      const apply =
        kind === 'w'
          ? (content: Buffer, keep: () => boolean) => written(content, offset, data, keep)
          : (content: Buffer, keep: () => boolean) => (keep() ? resized(content, offset) : content);
      node.changes.push({ at, apply });
    } else this.#noteNames(kind, inode, path, data.toString());
  }

  #noteNames(kind: string, inode: bigint, path: string, to: string): void {
    const parent = this.#folder(dirname(path));
    const name = basename(path);
    let parts: NameChange['parts'];
    if (kind === 'c' || kind === 'm') {
      const made = kind === 'c' ? newFile(Buffer.alloc(0)) : newFolder();
      this.#byInode.set(inode, made);
      if (dirname(path) === '.') this.#marks.set(name, this.length);
      parts = [{ folder: parent, name, to: made }];
    } else if (kind === 'u' || kind === 'd') {
      parts = [{ folder: parent, name, to: undefined }];
    } else {
      const target = { folder: this.#folder(dirname(to)), name: basename(to), to: parent.names.get(name) };
      if (target.to === undefined) throw new Error(`${path} was moved, which nobody made`);
      parts = kind === 'l' ? [target] : [{ folder: parent, name, to: undefined }, target];
    }
    const change = { at: this.length, parts };
    for (const folder of new Set(parts.map((part) => part.folder))) folder.changes.push(change);
    for (const part of parts) setName(part.folder.names, part.name, part.to);
  }

  #folder(path: string): Folder {
    let folder: Node = this.#root;
    for (const name of path.split('/').filter((each) => each !== '.')) {
      const next: Node | undefined = folder.names.get(name);
      if (next?.kind !== 'folder') throw new Error(`No folder ${path}`);
      folder = next;
    }
    return folder;
  }

  /** Writes into `path`, an empty folder, a disk that lost power after `moment` changes. */
  async replay(path: string, moment: number, random: Seeded): Promise<void> {
    const asJournal = random.below(2) === 0;
    const mercy = random.below(3);
    const keep = (): boolean => (mercy === 2 ? random.below(2) === 0 : mercy === 1);
    const until = this.#namesUntil(moment, asJournal, random);
    const made = new Map<Node, string>();
    const write = async (folder: Folder, where: string): Promise<void> => {
      const names = new Map(folder.initial);
      for (const { at, parts } of folder.changes) {
        if (at >= (until.get(folder) ?? 0)) break;
        for (const part of parts) if (part.folder === folder) setName(names, part.name, part.to);
      }
      for (const [name, node] of names) {
        const below = join(where, name);
        const known = made.get(node);
        if (known !== undefined) {
          if (node.kind === 'file') await link(known, below);
          continue;
        }
        made.set(node, below);
        if (node.kind === 'folder') {
          await mkdir(below, { mode: 0o700 });
          await write(node, below);
        } else {
          await writeFile(below, contentOf(node, moment, keep), { mode: 0o600 });
        }
      }
    };
    await write(this.#root, path);
  }

  /** For each folder the moment up to which its names are on disk. */
  #namesUntil(moment: number, asJournal: boolean, random: Seeded): Map<Folder, number> {
    const folders = this.#folders();
    const lastSync = Math.max(0, ...[...this.#nodes()].map((node) => syncedUntil(node, moment)));
    const common = lastSync + random.below(moment - lastSync + 1);
    const until = new Map<Folder, number>();
    for (const folder of folders) {
      const synced = syncedUntil(folder, moment);
      until.set(folder, asJournal ? common : synced + random.below(moment - synced + 1));
    }
    // A rename between two folders is in both or in neither.
    for (let isStable = false; !isStable;) {
      isStable = true;
      for (const folder of folders) {
        for (const { at, parts } of folder.changes) {
          if (at >= (until.get(folder) ?? 0)) break;
          for (const part of parts) {
            if ((until.get(part.folder) ?? 0) > at) continue;
            until.set(part.folder, at + 1);
            isStable = false;
          }
        }
      }
    }
    return until;
  }

  #nodes(): Set<Node> {
    const nodes = new Set<Node>(this.#byInode.values());
    for (const folder of this.#folders()) nodes.add(folder);
    return nodes;
  }

  /** Every folder there ever was. */
  #folders(): Set<Folder> {
    const found = new Set<Folder>([this.#root]);
    for (const folder of found) {
      const ever = [
        ...folder.initial.values(),
        ...folder.changes.flatMap(({ parts }) => parts.map(({ to }) => to)),
      ];
      for (const node of ever) if (node?.kind === 'folder') found.add(node);
    }
    return found;
  }
}

function syncedUntil({ syncs }: Node, moment: number): number {
  return Math.max(0, ...syncs.filter((at) => at < moment).map((at) => at + 1));
}

function contentOf(file: File, moment: number, keep: () => boolean): Buffer {
  const synced = syncedUntil(file, moment);
  let content: Buffer = file.initial;
  for (const { at, apply } of file.changes) {
    if (at < moment) content = apply(content, at < synced ? () => true : keep);
  }
  return content;
}

function written(content: Buffer, offset: number, data: Buffer, keep: () => boolean): Buffer {
  let result: Buffer = Buffer.from(content);
  for (let start = 0; start < data.length; start += PIECE_BYTES) {
    if (!keep()) continue;
    const piece = data.subarray(start, start + PIECE_BYTES);
    if (result.length < offset + start + piece.length)
      result = resized(result, offset + start + piece.length);
    piece.copy(result, offset + start);
  }
  return result;
}

function resized(content: Buffer, bytes: number): Buffer {
  const result = Buffer.alloc(bytes);
  content.copy(result, 0, 0, bytes);
  return result;
}

function setName(names: Map<string, Node>, name: string, to: Node | undefined): void {
  if (to === undefined) names.delete(name);
  else names.set(name, to);
}
