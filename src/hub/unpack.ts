/**
 * Taking in a snapshot that came as one file.
 *
 *   open    layout, index, manifest, signature: is it one, and who says so?     config: what is it?     nothing is written yet
 *   unpack  chunk by chunk: size, sha256, then unpacked, to exactly as many bytes as its place has, into files that are new
 *
 * Invariant: no byte reaches a program or a file before its sha256 was found to be what the manifest says.
 */
import { open, type FileHandle } from 'node:fs/promises';
import type { Run } from '../store/index.js';
import { ArchiveReader } from './archive.js';
import { BadSnapshotArchive, SnapshotUntrusted } from './errors.js';
import {
  blobName,
  configSchema,
  digestOf,
  indexOf,
  indexSchema,
  KEY_ANNOTATION,
  LAYOUT_TEXT,
  manifestSchema,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  parsed,
  signatureManifestSchema,
  signedText,
  type ArtifactManifest,
  type Descriptor,
  type SnapshotConfig,
} from './format.js';
import { isSignedBy, type Keyring } from './keys.js';
import { bytesOf, piecesOf, type Piece } from './pieces.js';
import { checkedVirtualBytes } from './qcow2.js';
import { compressedBound, decompressed } from './zstd.js';

const MAX_SMALL_BYTES = 64 << 10;
/** What a qcow2 header and the name of a backing file take. */
const HEAD_BYTES = 4096;

/** Whom to believe. */
export interface Trust {
  readonly keyring: Pick<Keyring, 'trusted'>;
  /** Take also what nobody has signed, or somebody unknown. */
  readonly allowUnsigned: boolean;
}

/** Where the files of a snapshot go; none exists yet. */
export interface UnpackTargets {
  readonly vmstatePath: string;
  memoryPath(index: number): string;
  diskPath(index: number): string;
}

/** A piece of a file. */
interface Place {
  readonly file: FileHandle;
  readonly piece: Piece;
}

export class IncomingSnapshot {
  /** Of its manifest. */
  readonly digest: string;
  /** Fingerprint of the trusted key; undefined for one that was taken unsigned. */
  readonly signedBy: string | undefined;
  readonly config: SnapshotConfig;
  readonly #reader: ArchiveReader;
  readonly #chunks: readonly Descriptor[];

  private constructor(
    reader: ArchiveReader,
    digest: string,
    signedBy: string | undefined,
    config: SnapshotConfig,
    chunks: readonly Descriptor[],
  ) {
    this.#reader = reader;
    this.digest = digest;
    this.signedBy = signedBy;
    this.config = config;
    this.#chunks = chunks;
  }

  /** Throws BadSnapshotArchive, SnapshotUntrusted. */
  static async open(bytes: AsyncIterable<Uint8Array>, trust: Trust): Promise<IncomingSnapshot> {
    const reader = new ArchiveReader(bytes);
    const layout = await reader.member('oci-layout', { bytes: LAYOUT_TEXT.length });
    if (layout.toString('latin1') !== LAYOUT_TEXT)
      throw new BadSnapshotArchive('it is no OCI layout of version 1');
    const index = await reader.member('index.json', { maxBytes: MAX_SMALL_BYTES });
    const [named, signature] = parsed(indexSchema, index, 'index.json').manifests;
    const manifest = parsed(
      manifestSchema,
      await document(reader, named, MAX_MANIFEST_BYTES),
      'the manifest',
    );
    const signedBy = await believed(reader, named.digest, signature, trust);
    const config = parsed(
      configSchema,
      await document(reader, manifest.config, MAX_CONFIG_BYTES),
      'the config',
    );
    if (!indexOf(config.tag, named, signature).equals(index))
      throw new BadSnapshotArchive('index.json says something else than what it leads to');
    checkChunks(config, manifest);
    return new IncomingSnapshot(reader, named.digest, signedBy, config, manifest.layers);
  }

  /** Writes every file, and says how large the guest's disk is. Throws BadSnapshotArchive, ProgramMissing, or the I/O error. */
  async unpack(targets: UnpackTargets, signal?: AbortSignal): Promise<{ diskBytes: number }> {
    const files: FileHandle[] = [];
    try {
      const places = new Map<string, Place[]>();
      let at = 0;
      for (const { path, bytes, runs } of filesOf(this.config, targets)) {
        const file = await open(path, 'wx+', 0o600);
        files.push(file);
        await file.truncate(bytes);
        for (const piece of piecesOf(runs)) {
          const digest = this.#chunks[at++]?.digest ?? '';
          const known = places.get(digest) ?? [];
          known.push({ file, piece });
          places.set(digest, known);
        }
      }
      const sizes = new Map(this.#chunks.map(({ digest, size }) => [digest, size]));
      let writing = Promise.resolve();
      for (const [digest, size] of sizes) {
        const chunk = await document(this.#reader, { digest, size });
        await writing;
        writing = write(chunk, places.get(digest) ?? [], signal);
        writing.catch(() => undefined);
      }
      await writing;
      await this.#reader.end();
      return { diskBytes: await checkDisks(this.config, files.slice(-this.config.disks.length)) };
    } finally {
      for (const file of files) await file.close();
    }
  }
}

/** The files in the order of their chunks. */
function filesOf(
  { vmstate, memory, disks }: SnapshotConfig,
  targets: UnpackTargets,
): { path: string; bytes: number; runs: readonly Run[] }[] {
  return [
    { path: targets.vmstatePath, bytes: vmstate.bytes, runs: [[0, vmstate.bytes]] },
    ...memory.map(({ logicalBytes, runs }, index) => ({
      path: targets.memoryPath(index),
      bytes: logicalBytes,
      runs,
    })),
    ...disks.map(({ bytes, runs }, index) => ({ path: targets.diskPath(index), bytes, runs })),
  ];
}

/** A member that is what its name says. */
async function document(
  reader: ArchiveReader,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  maxBytes = Infinity,
): Promise<Buffer> {
  if (size > maxBytes)
    throw new BadSnapshotArchive(`the blob ${digest} has ${size} bytes, at most ${maxBytes} are taken`);
  const bytes = await reader.member(blobName(digest), { bytes: size });
  if (digestOf(bytes) !== digest) throw new BadSnapshotArchive(`the blob ${digest} holds something else`);
  return bytes;
}

/** Whose word it is that this snapshot is what it should be. */
async function believed(
  reader: ArchiveReader,
  digest: string,
  named: Descriptor | undefined,
  { keyring, allowUnsigned }: Trust,
): Promise<string | undefined> {
  if (named === undefined) {
    if (allowUnsigned) return undefined;
    throw new SnapshotUntrusted('nobody has signed it');
  }
  const manifest = parsed(
    signatureManifestSchema,
    await document(reader, named, MAX_SMALL_BYTES),
    'the signature',
  );
  await document(reader, manifest.config, MAX_SMALL_BYTES);
  const [blob] = manifest.layers;
  const bytes = await document(reader, blob, MAX_SMALL_BYTES);
  if (manifest.subject.digest !== digest)
    throw new BadSnapshotArchive('the signature is of another snapshot');
  const fingerprint = blob.annotations[KEY_ANNOTATION];
  const key = keyring.trusted.get(fingerprint);
  if (key === undefined) {
    if (allowUnsigned) return undefined;
    throw new SnapshotUntrusted(`the key ${fingerprint} has signed it, which is not trusted here`);
  }
  if (!isSignedBy(signedText(digest), { bytes, fingerprint }, key))
    throw new BadSnapshotArchive(`its signature by the key ${fingerprint} is wrong`);
  return fingerprint;
}

/** There is a chunk for each piece, and each is as large as it may be. */
function checkChunks(config: SnapshotConfig, { layers }: ArtifactManifest): void {
  const nowhere = { vmstatePath: '', memoryPath: () => '', diskPath: () => '' };
  const pieces = filesOf(config, nowhere).flatMap(({ runs }) => piecesOf(runs));
  if (pieces.length !== layers.length)
    throw new BadSnapshotArchive(
      `its files are in ${pieces.length} chunks, its manifest has ${layers.length}`,
    );
  const sizes = new Map<string, string>();
  for (const [at, { digest, size }] of layers.entries()) {
    const rawBytes = bytesOf(pieces[at] ?? []);
    if (size > compressedBound(rawBytes))
      throw new BadSnapshotArchive(`the chunk ${digest} has ${size} bytes for ${rawBytes}`);
    const both = `${size} ${rawBytes}`;
    if ((sizes.get(digest) ?? both) !== both)
      throw new BadSnapshotArchive(`the chunk ${digest} is of two sizes`);
    sizes.set(digest, both);
  }
}

async function write(chunk: Buffer, places: readonly Place[], signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const bytes = await decompressed(chunk, bytesOf(places[0]?.piece ?? []), signal);
  for (const { file, piece } of places) {
    let at = 0;
    for (const [offset, length] of piece) {
      await writeFully(file, bytes.subarray(at, at + length), offset);
      at += length;
    }
  }
}

async function writeFully(file: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
  }
}

/** All levels of a disk are of one size, and none leads elsewhere. Returns that size. */
async function checkDisks({ disks }: SnapshotConfig, files: readonly FileHandle[]): Promise<number> {
  const sizes: number[] = [];
  for (const [index, { format, bytes }] of disks.entries()) {
    const head = Buffer.alloc(HEAD_BYTES);
    const { bytesRead = 0 } = (await files[index]?.read(head, 0, HEAD_BYTES, 0)) ?? {};
    sizes.push(format === 'raw' ? bytes : checkedVirtualBytes(head.subarray(0, bytesRead)));
  }
  const [diskBytes = 0] = sizes;
  if (sizes.some((bytes) => bytes !== diskBytes))
    throw new BadSnapshotArchive('the files of its disk are of different sizes');
  return diskBytes;
}
