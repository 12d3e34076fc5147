/** One side of a copy: the files of a sandbox, or those of this machine. */

/** What is at a path. `other` is what is neither copied nor replaced: a FIFO, a socket, a device. */
export interface Found {
  readonly type: 'file' | 'folder' | 'link' | 'other';
  readonly mode: number;
  /** Of a link. */
  readonly target?: string | undefined;
}

export interface Side {
  /** A path of it as a person would write it. */
  nameOf(path: string): string;
  /** Undefined for nothing. */
  look(path: string, how: { readonly follow: boolean }): Promise<Found | undefined>;
  /** A file's bytes. */
  read(path: string): AsyncIterable<Uint8Array>;
  /** What is in a folder, as a tar archive. */
  pack(path: string): AsyncIterable<Uint8Array>;
  /** Puts a file there as a whole, with that mode, if it is given: one that is there keeps its own without. */
  write(path: string, bytes: AsyncIterable<Uint8Array>, mode: number | undefined): Promise<void>;
  makeFolder(path: string, mode: number): Promise<void>;
  makeLink(path: string, target: string): Promise<void>;
  /** Unpacks a tar archive into a folder that is there. */
  unpack(path: string, archive: AsyncIterable<Uint8Array>): Promise<void>;
}
