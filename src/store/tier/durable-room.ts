/**
 * Room on disk for one draft: promised before its capture as far as that is known, and made exact when it is
 * published.
 *
 * A refusal comes only after whatever may be removed has been removed.
 */
import type { StoreContext } from '../context.js';
import { NoSpace } from '../errors.js';
import type { Manifest } from '../format/manifest.js';
import type { Reservation } from './space.js';

/** No snapshot takes less: device state, manifest, the first blocks of its files. */
const LEAST_BYTES = 64 * 1024;

/** The durable room of one draft; `release()` gives all of it back. */
export class DurableRoom implements Reservation {
  readonly #context: StoreContext;
  readonly #parts: Reservation[] = [];
  #bytes = 0;

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /** Sees to it that at least `bytes` are promised. Throws NoSpace. */
  async ensure(bytes: number): Promise<void> {
    const missingBytes = Math.max(LEAST_BYTES, bytes) - this.#bytes;
    if (missingBytes <= 0) return;
    const { durableSpace, makeDurableRoom } = this.#context;
    const part = await durableSpace.reserve(missingBytes).catch(async (error: unknown) => {
      if (!(error instanceof NoSpace)) throw error;
      await makeDurableRoom();
      return durableSpace.reserve(missingBytes);
    });
    this.#parts.push(part);
    this.#bytes += missingBytes;
  }

  release(): void {
    for (const part of this.#parts.splice(0)) part.release();
    this.#bytes = 0;
  }
}

/** What persisting may write: everything but the links to what is on disk already, whose digest is known by then. */
export function bytesToPersist({ id, layers, disks, vmstate }: Manifest): number {
  const ownDisk = disks.find((disk) => disk.id === id);
  const unwritten = layers.filter(({ sha256 }) => sha256 === undefined);
  const layerBytes = unwritten.reduce((sum, { physicalBytes }) => sum + physicalBytes, 0);
  return layerBytes + vmstate.bytes + (ownDisk?.bytes ?? 0);
}
