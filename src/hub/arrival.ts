/** How much of a snapshot has arrived in a layout. Parts count when they are whole: skopeo fetches several at a time, and they are small. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startRounds, type Rounds } from '../base/index.js';
import { manifestSchema, parsed } from './format.js';

const WATCH_MS = 500;

/** Told how many bytes are there, of how many. */
export type OnArrival = (bytes: number, totalBytes: number) => void;

/** Watches until it is stopped. Throws BadSnapshotArchive where the manifest is none of a snapshot. */
export function watchArrival(dir: string, manifest: Buffer, onArrival: OnArrival): Rounds {
  const { config, layers } = parsed(manifestSchema, manifest, 'the manifest');
  const sizes = new Map([config, ...layers].map(({ digest, size }) => [digest.replace('sha256:', ''), size]));
  const sum = (all: Iterable<number>): number => [...all].reduce((total, bytes) => total + bytes, 0);
  const totalBytes = sum(sizes.values());
  return startRounds(WATCH_MS, async () => {
    const names = await readdir(join(dir, 'blobs/sha256')).catch(() => []);
    onArrival(sum(names.map((name) => sizes.get(name) ?? 0)), totalBytes);
  });
}
