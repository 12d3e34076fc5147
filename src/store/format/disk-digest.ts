/**
 * Digests of disk files: of what they hold (`sparseDigest` in src/base), or without its prefix plain sha256 of the bytes, as manifests
 * of version 1 have it.
 */
import { SPARSE_PREFIX, sparseDigest } from '../../base/index.js';
import { copyWholeFile, createFile, fileDigest, withFile, writeFully, type Destination } from './copy.js';

/** How a disk file's digest is made: of its kind must be whatever it is compared with. */
export type DiskDigestKind = 'sparse' | 'plain';

/** The kind of a known digest; that of new ones if there is none. */
export function kindOfDigest(known: string | undefined): DiskDigestKind {
  return known === undefined || known.startsWith(SPARSE_PREFIX) ? 'sparse' : 'plain';
}

/** The digest of the disk file at `path`. */
export async function diskDigest(path: string, kind: DiskDigestKind, signal?: AbortSignal): Promise<string> {
  if (kind === 'plain') return fileDigest(path, signal);
  return withFile(path, (file) => sparseDigest(file, path, { signal }));
}

/** Copies a disk file, leaving holes where blocks are zero; returns its digest. */
export async function copyDisk(
  path: string,
  destination: Destination,
  kind: DiskDigestKind,
  signal?: AbortSignal,
): Promise<string> {
  if (kind === 'plain') return copyWholeFile(path, destination, signal);
  return withFile(path, (file) =>
    createFile(destination, async (target) => {
      const onBlock = (block: Buffer, position: number): Promise<void> => writeFully(target, block, position);
      const digest = await sparseDigest(file, path, { signal, onBlock });
      await target.truncate((await file.stat()).size);
      return digest;
    }),
  );
}
