/** Bytes on their way into the blobs of a layout: gathered, compressed, named by their sha256. Two chunks are in memory at a time. */
import { join } from 'node:path';
import { open } from 'node:fs/promises';
import { errorCode } from '../base/index.js';
import { blobName, CHUNK_TYPE, descriptorOf, type Descriptor } from './format.js';
import { CHUNK_BYTES } from './pieces.js';
import { compressed } from './zstd.js';

/** Rejects where there is no room for that many bytes. */
export type CheckRoom = (bytes: number) => Promise<void>;

export interface ChunkWriterOptions {
  readonly checkRoom?: CheckRoom | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class ChunkWriter {
  /** Of what was added and ended, in order. */
  readonly chunks: Descriptor[] = [];
  readonly #dir: string;
  readonly #options: ChunkWriterOptions;
  #gathered = Buffer.allocUnsafe(CHUNK_BYTES);
  #have = 0;
  /** The one before, while this one is gathered. */
  #underWay: Promise<void> = Promise.resolve();

  constructor(dir: string, options: ChunkWriterOptions) {
    this.#dir = dir;
    this.#options = options;
  }

  async add(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const taken = bytes.subarray(at, at + CHUNK_BYTES - this.#have);
      this.#gathered.set(taken, this.#have);
      this.#have += taken.length;
      at += taken.length;
      if (this.#have === CHUNK_BYTES) await this.#send();
    }
  }

  /** A file is over: no chunk holds bytes of two. Resolves when all of it is in the layout. */
  async endFile(): Promise<void> {
    if (this.#have > 0) await this.#send();
    await this.#underWay;
  }

  async #send(): Promise<void> {
    await this.#underWay;
    const raw = this.#gathered.subarray(0, this.#have);
    this.#gathered = Buffer.allocUnsafe(CHUNK_BYTES);
    this.#have = 0;
    this.#underWay = this.#write(raw);
    // It is waited for before the next, and at the end of the file.
    this.#underWay.catch(() => undefined);
  }

  async #write(raw: Buffer): Promise<void> {
    const { signal, checkRoom } = this.#options;
    const bytes = await compressed(raw, signal);
    signal?.throwIfAborted();
    await checkRoom?.(bytes.length);
    const descriptor = descriptorOf(CHUNK_TYPE, bytes);
    await writeBlob(this.#dir, descriptor.digest, bytes);
    this.chunks.push(descriptor);
  }
}

/** Writes a blob, unless the layout has it. */
export async function writeBlob(dir: string, digest: string, bytes: Buffer): Promise<void> {
  const file = await open(join(dir, blobName(digest)), 'wx', 0o600).catch((error: unknown) => {
    if (errorCode(error) !== 'EEXIST') throw error;
    return undefined;
  });
  try {
    await file?.writeFile(bytes);
  } finally {
    await file?.close();
  }
}
