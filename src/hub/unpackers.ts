/**
 * Threads that check and unpack the chunks of a snapshot, each as it comes: two processors do it, and neither is the daemon's own.
 *
 * The decoder is zstd's own in WebAssembly. It has no more room than the chunk may fill, and what it is given cannot lead it out of that.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ResourceStack } from '../base/index.js';
import { BadSnapshotArchive } from './errors.js';
import type { Piece } from './pieces.js';

/** Also how many chunks are in memory, with what they become. */
const THREADS = 2;

/** A piece of a file that is open for writing. */
export interface Place {
  readonly fd: number;
  readonly piece: Piece;
}

/** A chunk, and where it goes; without `rawBytes` it is only checked. */
export interface UnpackJob {
  readonly chunk: Buffer;
  readonly digest: string;
  readonly rawBytes: number | undefined;
  readonly places: readonly Place[];
}

export type UnpackAnswer =
  | { readonly problem: string | undefined }
  | { readonly error: { readonly message: string; readonly code: string | undefined } };

interface Thread {
  readonly worker: Worker;
  /** Rejects when it is gone, which nothing that it is given should bring about. */
  readonly gone: Promise<never>;
  /** What it was given last. */
  underWay: Promise<void>;
}

export class Unpackers {
  readonly #threads: Thread[];
  #next = 0;

  /** They end with `undo`, which waits for what they write. */
  constructor(undo: ResourceStack) {
    this.#threads = [];
    undo.defer(async () => {
      await Promise.allSettled(this.#threads.map(({ underWay }) => underWay));
      await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
    });
    while (this.#threads.length < THREADS) this.#threads.push(startThread());
  }

  /** Resolves when one of them has begun it; rejects with what became of an earlier one. The chunk is theirs from then on. */
  async give(job: UnpackJob): Promise<void> {
    const thread = this.#threads[this.#next++ % THREADS];
    if (thread === undefined) return;
    await thread.underWay;
    thread.underWay = done(thread, job);
    // It is asked for before the next, or at the end.
    thread.underWay.catch(() => undefined);
  }

  /** Resolves when all that was given is done. Throws BadSnapshotArchive or the I/O error. */
  async finish(): Promise<void> {
    for (const { underWay } of this.#threads) await underWay;
  }
}

function startThread(): Thread {
  const worker = new Worker(new URL('./unpack-worker.js', import.meta.url));
  const gone = new Promise<never>((_resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`A thread that unpacks has ended with ${code}`)));
  });
  gone.catch(() => undefined);
  return { worker, gone, underWay: Promise.resolve() };
}

async function done({ worker, gone }: Thread, job: UnpackJob): Promise<void> {
  const { buffer, byteLength } = job.chunk;
  // A small one lies in a buffer with others, and is copied.
  worker.postMessage(job, byteLength === buffer.byteLength ? [buffer as ArrayBuffer] : []);
  const [said] = (await Promise.race([once(worker, 'message'), gone])) as [UnpackAnswer];
  if ('error' in said) throw Object.assign(new Error(said.error.message), { code: said.error.code });
  if (said.problem !== undefined) throw new BadSnapshotArchive(said.problem);
}
