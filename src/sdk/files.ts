/** Files and folder trees of one sandbox. A path is text, or bytes for a name that is none. */

import type { FileEntry } from '../contract/v1/files.js';
import type { WatchLine } from '../contract/v1/watch.js';
import { NDJSON_TYPE } from '../contract/v1/stream-types.js';
import { BoughUnreachable, failureTold } from './errors.js';
import { linesOf } from './lines.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * A path in a guest. One that is relative begins in the working directory of its programs.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * const path: GuestPath = new Uint8Array([0x2f, 0xff]); // `/` and a byte that is no text
 * await sandbox.files.write(path, 'x');
 * console.log((await sandbox.files.stat(path)).path_base64); // L/8=
 * ```
 */
export type GuestPath = string | Uint8Array;

/**
 * What can be written: as a whole, or piece by piece, of any length.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * async function* pieces(): AsyncGenerator<Uint8Array> {
 *   for (const word of ['one ', 'two']) yield new TextEncoder().encode(word);
 * }
 * const bytes: FileBytes = pieces();
 * await sandbox.files.write('/words', bytes);
 * console.log(await sandbox.files.readText('/words')); // one two
 * ```
 */
export type FileBytes = string | Uint8Array | AsyncIterable<Uint8Array>;

/**
 * Whom a call is made as.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * const options: FileOptions = { user: 'root', signal: AbortSignal.timeout(60_000) };
 * await sandbox.files.write('/note', 'hello', options);
 * ```
 */
export interface FileOptions extends CallOptions {
  /** A user of the image, by name or number, perhaps with a group: `user:group`. Default: the image's, which is root unless the image says another. */
  readonly user?: string | undefined;
}

/** What a call that is about one path is made with. */
interface Asked<Q> {
  readonly signal: AbortSignal | undefined;
  readonly params: { readonly id: string };
  readonly query: Subject & { readonly user: string | undefined } & Q;
}

/**
 * What is told of files that are watched.
 *
 * @example
 * ```ts
 * const news: WatchNews = { type: 'created', path: 'note' };
 * console.log(news.type, news.path); // created note
 * ```
 */
export type WatchNews = Exclude<WatchLine, { readonly type: 'keepalive' | 'error' | 'end' }>;

type Subject = { readonly path: string } | { readonly path_base64: string };

/**
 * `sandbox.files`: what is on a sandbox's disk. Calls reject with `BoughApiError` of codes such as `file_not_found` and `file_denied`.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * await sandbox.files.write('/srv/config.json', '{"port": 8080}');
 * console.log(await sandbox.files.readText('/srv/config.json')); // {"port": 8080}
 * ```
 */
export class SandboxFiles {
  readonly #transport: Transport;
  readonly #params: { readonly id: string };

  constructor(transport: Transport, sandboxId: string) {
    this.#transport = transport;
    this.#params = { id: sandboxId };
  }

  /**
   * A file's bytes, as a whole. For one that may be larger than memory, `stream`.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.files.write('/bytes', new Uint8Array([0, 255]));
   * console.log(await sandbox.files.read('/bytes')); // Uint8Array(2) [ 0, 255 ]
   * ```
   */
  async read(path: GuestPath, options?: FileOptions): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.stream(path, options)) pieces.push(piece);
    return joined(pieces);
  }

  /**
   * A file as text; what is not UTF-8 is U+FFFD.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.files.write('/note', 'hello');
   * console.log(await sandbox.files.readText('/note')); // hello
   * ```
   */
  async readText(path: GuestPath, options?: FileOptions): Promise<string> {
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(await this.read(path, options));
  }

  /**
   * A file's bytes as they come. A file that became shorter meanwhile rejects with `BoughUnreachable`.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.files.write('/note', 'hello');
   * for await (const piece of sandbox.files.stream('/note')) console.log(piece.length); // 5
   * ```
   */
  async *stream(path: GuestPath, options?: FileOptions): AsyncGenerator<Uint8Array, void, undefined> {
    yield* await this.#transport.stream('readFile', '*/*', this.#asked(path, options));
  }

  /**
   * Writes a file as a whole: who reads it meanwhile finds the old one. An old one keeps its mode and its owner.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.files.write('/srv/run.sh', 'echo hello', { mode: 0o755, parents: true });
   * console.log((await sandbox.files.stat('/srv/run.sh')).mode); // 0755
   * ```
   */
  async write(
    path: GuestPath,
    bytes: FileBytes,
    options: FileOptions & { readonly mode?: number; readonly parents?: boolean } = {},
  ): Promise<void> {
    const { mode, parents = false } = options;
    // A query's numbers are sent in decimal: the one whose digits are those of the octal mode.
    const digits = mode === undefined ? undefined : Number(mode.toString(8));
    await this.#transport.send(
      'writeFile',
      sent(bytes),
      this.#asked(path, options, { parents, mode: digits }),
    );
  }

  /**
   * What is at a path: of a link, itself.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.files.write('/note', 'hello');
   * const { type, size_bytes } = await sandbox.files.stat('/note');
   * console.log(type, size_bytes); // file 5
   * ```
   */
  stat(path: GuestPath, options: FileOptions & { readonly follow?: boolean } = {}): Promise<FileEntry> {
    return this.#transport.call('statFile', this.#asked(path, options, { follow: options.follow ?? false }));
  }

  /**
   * What is in a folder, in no order, but each folder before what is in it; names are those below it. Links are not followed.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.files.write('/note', 'hello');
   * for await (const { path } of sandbox.files.list('/')) console.log(path); // /note
   * ```
   */
  async *list(
    path: GuestPath,
    options: FileOptions & { readonly depth?: number } = {},
  ): AsyncGenerator<FileEntry, void, undefined> {
    const parts = this.#asked(path, options, { depth: options.depth ?? 1 });
    for await (const line of linesOf(
      'listFolder',
      await this.#transport.stream('listFolder', NDJSON_TYPE, parts),
    )) {
      if (line.type === 'end') return;
      if (line.type === 'error') throw failureTold(line.code, line.error);
      if (line.type === 'entry') yield line.entry;
    }
    throw new BoughUnreachable(this.#transport.url, 'the list was cut off');
  }

  /**
   * What changes there from now on, in a folder with `recursive` also below it, until it is gone: `watching` first. Paths are those below it.
   *
   * A change may come twice. What was not told is said: `missed` where there were too many for who reads, `unwatched` where there are too many
   * folders. A connection that is lost rejects with `BoughUnreachable`: what changed meanwhile nobody knows.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * for await (const news of sandbox.files.watch('/srv', { recursive: true })) {
   *   if (news.type === 'created') console.log(news.path); // seen
   *   if (news.type === 'missed') break;
   * }
   * ```
   */
  async *watch(
    path: GuestPath,
    options: FileOptions & { readonly recursive?: boolean } = {},
  ): AsyncGenerator<WatchNews, void, undefined> {
    const parts = this.#asked(path, options, { recursive: options.recursive ?? false });
    const chunks = await this.#transport.stream('watchFiles', NDJSON_TYPE, parts);
    for await (const line of linesOf('watchFiles', chunks)) {
      if (line.type === 'end') return;
      if (line.type === 'error') throw failureTold(line.code, line.error);
      if (line.type !== 'keepalive') yield line;
    }
    throw new BoughUnreachable(this.#transport.url, 'the watch was cut off');
  }

  /**
   * Makes a folder.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const { type } = await sandbox.files.makeFolder('/srv/data', { parents: true });
   * console.log(type); // folder
   * ```
   */
  makeFolder(
    path: GuestPath,
    options: FileOptions & { readonly mode?: number; readonly parents?: boolean } = {},
  ): Promise<FileEntry> {
    const { user, mode, parents, ...call } = options;
    const body = { ...subject(path), user, mode: mode?.toString(8), parents };
    return this.#transport.call('makeFolder', { ...call, params: this.#params, body });
  }

  /**
   * Gives a file or a folder another name, on the same file system. With `replace` it takes the place of what is there.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.files.write('/draft', 'hello');
   * await sandbox.files.move('/draft', '/final');
   * console.log(await sandbox.files.readText('/final')); // hello
   * ```
   */
  move(
    path: GuestPath,
    to: GuestPath,
    options: FileOptions & { readonly replace?: boolean; readonly parents?: boolean } = {},
  ): Promise<FileEntry> {
    const { user, replace, parents, ...call } = options;
    const target = typeof to === 'string' ? { to } : { to_base64: base64(to) };
    const body = { ...subject(path), ...target, user, replace, parents };
    return this.#transport.call('moveFile', { ...call, params: this.#params, body });
  }

  /**
   * Removes a file, an empty folder, or a link, never what a link leads to; with `recursive` a folder and all in it.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.files.write('/note', 'hello');
   * await sandbox.files.remove('/note');
   * const error = await sandbox.files.stat('/note').catch((reason: unknown) => reason);
   * console.log(error instanceof BoughApiError && error.code); // file_not_found
   * ```
   */
  async remove(path: GuestPath, options: FileOptions & { readonly recursive?: boolean } = {}): Promise<void> {
    const parts = this.#asked(path, options, { recursive: options.recursive ?? false });
    await this.#transport.call('removeFile', parts);
  }

  /**
   * A folder with all that is in it, as the bytes of a tar archive. One that was cut off has no end of archive.
   *
   * @example
   * ```ts
   * const [from, to] = await bough.spawnMany('base', 2);
   * if (from === undefined || to === undefined) throw new Error('two were asked for');
   * await from.files.write('/work', 'of the one');
   * await to.files.unpack('/work', from.files.pack('/work'));
   * console.log(await to.files.readText('/work')); // of the one
   * ```
   */
  async *pack(path: GuestPath, options?: FileOptions): AsyncGenerator<Uint8Array, void, undefined> {
    yield* await this.#transport.stream('packTree', '*/*', this.#asked(path, options));
  }

  /**
   * Unpacks a tar archive into a folder; resolves with how many entries it had. Nothing is put outside of the folder. What fails in the
   * middle leaves what was unpacked before.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const archive = new Uint8Array(1024); // of nothing
   * await sandbox.files.unpack('/srv', archive, { parents: true });
   * ```
   */
  async unpack(
    path: GuestPath,
    archive: FileBytes,
    options: FileOptions & { readonly parents?: boolean } = {},
  ): Promise<number> {
    const parts = this.#asked(path, options, { parents: options.parents ?? false });
    const headers = await this.#transport.send('unpackTree', sent(archive), parts);
    return Number(headers.get('bough-entries'));
  }

  /** A call's path and user in its query, with what else is asked there. */
  #asked<Q extends object>(path: GuestPath, options: FileOptions, more: Q): Asked<Q>;
  #asked(path: GuestPath, options?: FileOptions): Asked<object>;
  #asked(path: GuestPath, options: FileOptions = {}, more: object = {}): Asked<object> {
    const { user, signal } = options;
    return { signal, params: this.#params, query: { ...subject(path), user, ...more } };
  }
}

function subject(path: GuestPath): Subject {
  return typeof path === 'string' ? { path } : { path_base64: base64(path) };
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}

function sent(bytes: FileBytes): Uint8Array | AsyncIterable<Uint8Array> {
  return typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
