/** The client's part for files; see operations/files.ts. */
import type { CallOptions, Endpoint } from './call.js';
import type { Input } from './input.js';
import {
  listFolder,
  makeFolder,
  moveFile,
  packTree,
  readFile,
  removeFile,
  statFile,
  unpackTree,
  writeFile,
  type FileChange,
  type FileEntry,
  type FileMove,
  type FileRange,
  type FileReading,
  type FileSubject,
  type FileWrite,
} from './operations/files.js';
import { watchFiles, type WatchNews } from './operations/watch.js';

export class AgentFiles {
  readonly #endpoint: () => Endpoint;

  /** `endpoint` is asked before each call: identify changes it. */
  constructor(endpoint: () => Endpoint) {
    this.#endpoint = endpoint;
  }

  /** Opens a file; its bytes come as fast as they are iterated. */
  read(subject: FileSubject & FileRange, signal?: AbortSignal): Promise<FileReading> {
    return readFile(this.#endpoint(), subject, signal);
  }

  /** Writes a file; whoever looks meanwhile finds the old one or the new one, never a part. */
  write(subject: FileWrite, signal?: AbortSignal): Promise<FileEntry> {
    return writeFile(this.#endpoint(), subject, signal);
  }

  /** What is at a path: a link itself, or with `follow` what it leads to. */
  stat(
    subject: FileSubject & { readonly follow?: boolean | undefined },
    options: CallOptions = {},
  ): Promise<FileEntry> {
    return statFile(this.#endpoint(), subject, options);
  }

  /** What is in a folder, `depth` levels of it (1), in no order. */
  list(
    subject: FileSubject & { readonly depth?: number | undefined },
    signal?: AbortSignal,
  ): AsyncGenerator<FileEntry, void, undefined> {
    return listFolder(this.#endpoint(), subject, signal);
  }

  /** What is in a folder as a tar archive. To be iterated to its end, or given up by the signal. */
  pack(subject: FileSubject, signal?: AbortSignal): Promise<AsyncGenerator<Buffer, void, undefined>> {
    return packTree(this.#endpoint(), subject, signal);
  }

  /** Unpacks a tar archive into a folder; how many entries it had. Nothing of it is put outside of that folder. */
  unpack(
    what: FileSubject & { readonly bytes: Input; readonly parents?: boolean | undefined },
    signal?: AbortSignal,
  ): Promise<number> {
    return unpackTree(this.#endpoint(), what, signal);
  }

  /** What changes there from now on, until the signal fires or it is gone; `watching` first. */
  watch(
    subject: FileSubject & { readonly recursive?: boolean | undefined },
    signal?: AbortSignal,
  ): AsyncGenerator<WatchNews, void, undefined> {
    return watchFiles(this.#endpoint(), subject, signal);
  }

  makeFolder(subject: FileChange, options: CallOptions = {}): Promise<FileEntry> {
    return makeFolder(this.#endpoint(), subject, options);
  }

  /** Within one file system. */
  move(subject: FileMove, options: CallOptions = {}): Promise<FileEntry> {
    return moveFile(this.#endpoint(), subject, options);
  }

  /** A link itself, never what it leads to. */
  remove(
    subject: FileSubject & { readonly recursive?: boolean | undefined },
    signal?: AbortSignal,
  ): Promise<void> {
    return removeFile(this.#endpoint(), subject, signal);
  }
}
