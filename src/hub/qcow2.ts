/**
 * The header of a qcow2 file (docs/interop/qcow2.txt of QEMU): the part of a disk that can lead elsewhere.
 *
 * A backing file named in it is never followed here, since every node of a chain is spelled out, but QEMU notes one when it folds a
 * chain: it is wiped from what leaves this host, and refused in what comes. A data file outside would be opened, and is refused.
 *
 * Not handled: tables that are wrong. QEMU checks them when it reads, in a process of the sandbox's own.
 */
import { BadSnapshotArchive } from './errors.js';

const MAGIC = 0x514649fb;
/** Ends with the fields of version 3. */
const HEADER_BYTES = 104;
/** `dirty`: counts of references are made good when it is opened. */
const HARMLESS_FEATURES = 1n;

interface Header {
  readonly virtualBytes: number;
  readonly backing: { readonly offset: number; readonly length: number } | undefined;
}

/** Of the beginning of a file. Throws BadSnapshotArchive for what is no qcow2 file that QEMU would make for us. */
function headerOf(head: Buffer): Header {
  const refuse = (problem: string): BadSnapshotArchive => new BadSnapshotArchive(`a disk ${problem}`);
  if (head.length < HEADER_BYTES || head.readUInt32BE(0) !== MAGIC) throw refuse('is no qcow2 file');
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw refuse(`is a qcow2 file of version ${version}`);
  if (head.readUInt32BE(32) !== 0) throw refuse('is encrypted');
  const features = version === 2 ? 0n : head.readBigUInt64BE(72);
  if ((features & 4n) !== 0n) throw refuse('keeps its data in another file');
  if ((features & ~HARMLESS_FEATURES) !== 0n) throw refuse(`needs qcow2 features ${features.toString(16)}`);
  const virtualBytes = Number(head.readBigUInt64BE(24));
  if (!Number.isSafeInteger(virtualBytes)) throw refuse('is larger than a disk can be');
  const offset = Number(head.readBigUInt64BE(8));
  return { virtualBytes, backing: offset === 0 ? undefined : { offset, length: head.readUInt32BE(16) } };
}

/** The guest's disk as the file has it. Throws BadSnapshotArchive for one that leads elsewhere. */
export function checkedVirtualBytes(head: Buffer): number {
  const { virtualBytes, backing } = headerOf(head);
  if (backing !== undefined) throw new BadSnapshotArchive('a disk names another file that it stands on');
  return virtualBytes;
}

/** Wipes the name of a backing file from the beginning of a file. */
export function withoutBacking(head: Buffer): Buffer {
  const { backing } = headerOf(head);
  if (backing === undefined) return head;
  const { offset, length } = backing;
  if (offset < HEADER_BYTES || offset + length > head.length)
    throw new BadSnapshotArchive('a disk names a backing file beyond its first block');
  const wiped = Buffer.from(head);
  wiped.fill(0, offset, offset + length);
  wiped.fill(0, 8, 20);
  return wiped;
}
