/**
 * Taking in a snapshot that came as one file.
 *
 *   open    layout, index, manifest, signature: is it one, and who says so?     config: what is it?     nothing is written yet
 *   unpack  chunk by chunk: size, sha256, then unpacked, to exactly as many bytes as its place has, into files that are new
 *
 * Invariant: no byte reaches a program or a file before its sha256 was found to be what the manifest says.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { errorCode, ResourceStack } from '../base/index.js';
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
import { bytesOf, CHUNK_BYTES, piecesOf } from './pieces.js';
import { checkedVirtualBytes } from './qcow2.js';
import { Unpackers, type Place } from './unpackers.js';
import { compressedBound } from './zstd.js';

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

/** Where the files of the image go that a snapshot was booted from. */
export interface ImageTargets {
  readonly kernelPath: string;
  readonly modulesPath: string;
  readonly rootfsPath: string;
}

/** A file that comes; without a path nobody wants it. */
interface Part {
  readonly path?: string | undefined;
  readonly bytes: number;
  readonly runs: readonly Run[];
}

export class IncomingSnapshot {
  /** Of its manifest. */
  readonly digest: string;
  /** Fingerprint of the trusted key; undefined for one that was taken unsigned. */
  readonly signedBy: string | undefined;
  /** Of the key that its signature names, trusted or not. */
  readonly claimedBy: string | undefined;
  readonly config: SnapshotConfig;
  readonly #reader: ArchiveReader;
  readonly #chunks: readonly Descriptor[];
  #isUnpacked = false;

  private constructor(
    reader: ArchiveReader,
    digest: string,
    { signedBy, claimedBy }: Verdict,
    config: SnapshotConfig,
    chunks: readonly Descriptor[],
  ) {
    this.#reader = reader;
    this.digest = digest;
    this.signedBy = signedBy;
    this.claimedBy = claimedBy;
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
    const verdict = await readVerdict(reader, named.digest, signature, trust);
    const config = parsed(
      configSchema,
      await document(reader, manifest.config, MAX_CONFIG_BYTES),
      'the config',
    );
    if (!indexOf(config.tag, named, signature).equals(index))
      throw new BadSnapshotArchive('index.json says something else than what it leads to');
    checkChunks(config, manifest);
    // Chunks are not kept.
    reader.keepsMembers = false;
    return new IncomingSnapshot(reader, named.digest, verdict, config, manifest.layers);
  }

  /** Every file of the layout in order, instead of `unpack`. */
  async *members(): AsyncGenerator<{ readonly name: string; readonly bytes: Buffer }, void, undefined> {
    yield* this.#reader.kept;
    for (const [digest, size] of sizesOf(this.#chunks))
      yield { name: blobName(digest), bytes: await document(this.#reader, { digest, size }) };
    await this.#reader.end();
  }

  /** Lets the rest of it come, and believes none of it. */
  skip(): Promise<void> {
    return this.#reader.skip();
  }

  /** Writes every file of the guest, and says how large its disk is. Throws BadSnapshotArchive or the I/O error. */
  async unpack(targets: UnpackTargets, signal?: AbortSignal): Promise<{ diskBytes: number }> {
    const { disks, memory } = this.config;
    const firstDisk = 1 + memory.length;
    const check = async (files: readonly (FileHandle | undefined)[]): Promise<{ diskBytes: number }> => ({
      diskBytes: await checkDisks(this.config, files.slice(firstDisk, firstDisk + disks.length)),
    });
    return await this.#unpack(partsOf(this.config, targets), check, signal);
  }

  /** Whether `unpackImage` can be called: its image came along, and not all of it has been read. */
  get bringsImage(): boolean {
    return this.config.boot !== undefined && !this.#isUnpacked;
  }

  /** Instead of that, what it was booted from, where that came along. */
  async unpackImage(targets: ImageTargets, signal?: AbortSignal): Promise<void> {
    await this.#unpack(partsOf(this.config, targets), () => Promise.resolve(), signal);
  }

  async #unpack<T>(
    parts: readonly Part[],
    check: (files: readonly (FileHandle | undefined)[]) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    this.#isUnpacked = true;
    await using undo = new ResourceStack();
    const files: (FileHandle | undefined)[] = [];
    undo.defer(async () => {
      for (const file of files) await file?.close();
    });
    const places = new Map<string, Place[]>();
    let at = 0;
    for (const { path, bytes, runs } of parts) {
      const file = path === undefined ? undefined : await open(path, 'wx+', 0o600);
      files.push(file);
      if (file !== undefined) await setSize(file, bytes);
      for (const piece of piecesOf(runs)) {
        const digest = this.#chunks[at++]?.digest ?? '';
        if (file === undefined) continue;
        const known = places.get(digest) ?? [];
        known.push({ fd: file.fd, piece });
        places.set(digest, known);
      }
    }
    // They end before the files are closed.
    const unpackers = new Unpackers(undo);
    for (const [digest, bytes] of sizesOf(this.#chunks)) {
      signal?.throwIfAborted();
      const chunk = await this.#reader.member(blobName(digest), { bytes });
      const wanted = places.get(digest) ?? [];
      const rawBytes = wanted[0] && bytesOf(wanted[0].piece);
      await unpackers.give({ chunk, digest, rawBytes, places: wanted });
    }
    await unpackers.finish();
    await this.#reader.end();
    return await check(files);
  }
}

/** Sparse: only what comes takes room. Throws BadSnapshotArchive for more than a file can have. */
async function setSize(file: FileHandle, bytes: number): Promise<void> {
  await file.truncate(bytes).catch((cause: unknown) => {
    if (errorCode(cause) !== 'EFBIG' && errorCode(cause) !== 'EINVAL') throw cause;
    throw new BadSnapshotArchive(`no file of this host can have ${bytes} bytes`, { cause });
  });
}

/** The files in the order of their chunks. */
function partsOf(
  { vmstate, memory, disks, boot }: SnapshotConfig,
  targets: Partial<UnpackTargets & ImageTargets> = {},
): Part[] {
  const whole = (path: string | undefined, bytes: number): Part => ({ path, bytes, runs: [[0, bytes]] });
  const diskPath = (index: number): string | undefined =>
    index === 0 ? (targets.rootfsPath ?? targets.diskPath?.(0)) : targets.diskPath?.(index);
  return [
    whole(targets.vmstatePath, vmstate.bytes),
    ...memory.map(({ logicalBytes, runs }, index) => ({
      path: targets.memoryPath?.(index),
      bytes: logicalBytes,
      runs,
    })),
    ...disks.map(({ bytes, runs }, index) => ({ path: diskPath(index), bytes, runs })),
    ...(boot
      ? [whole(targets.kernelPath, boot.kernelBytes), whole(targets.modulesPath, boot.modulesBytes)]
      : []),
  ];
}

/** A chunk that occurs twice is there once, where it is needed first. */
const sizesOf = (chunks: readonly Descriptor[]): ReadonlyMap<string, number> =>
  new Map(chunks.map(({ digest, size }) => [digest, size]));

async function readVerdict(
  reader: ArchiveReader,
  digest: string,
  named: Descriptor | undefined,
  trust: Trust,
): Promise<Verdict> {
  const read = (blob: Descriptor): Promise<Buffer> => document(reader, blob, MAX_SMALL_BYTES);
  const verdict = named === undefined ? {} : await judged(digest, await read(named), read, trust.keyring);
  requireTrust(verdict, trust);
  return verdict;
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

/** Whose word it is that a snapshot is what it should be. */
export interface Verdict {
  /** Fingerprint of the trusted key that has signed it. */
  readonly signedBy?: string | undefined;
  /** Of the key that its signature names. */
  readonly claimedBy?: string | undefined;
}

/** `read` gives the blobs that the signature names, each checked against its digest. Throws BadSnapshotArchive for a wrong one. */
export async function judged(
  digest: string,
  signature: Buffer,
  read: (blob: Descriptor) => Promise<Buffer>,
  { trusted }: Pick<Keyring, 'trusted'>,
): Promise<Verdict> {
  const { config, layers, subject } = parsed(signatureManifestSchema, signature, 'the signature');
  await read(config);
  const [blob] = layers;
  const bytes = await read(blob);
  if (subject.digest !== digest) throw new BadSnapshotArchive('the signature is of another snapshot');
  const claimedBy = blob.annotations[KEY_ANNOTATION];
  const key = trusted.get(claimedBy);
  if (key === undefined) return { claimedBy };
  if (!isSignedBy(signedText(digest), { bytes, fingerprint: claimedBy }, key))
    throw new BadSnapshotArchive(`its signature by the key ${claimedBy} is wrong`);
  return { signedBy: claimedBy, claimedBy };
}

/** Throws SnapshotUntrusted. */
export function requireTrust({ signedBy, claimedBy }: Verdict, { allowUnsigned }: Trust): void {
  if (signedBy !== undefined || allowUnsigned) return;
  throw new SnapshotUntrusted(
    claimedBy === undefined
      ? 'nobody has signed it'
      : `the key ${claimedBy} has signed it, which is not trusted here`,
  );
}

/** There is a chunk for each piece, and each is as large as it may be. */
function checkChunks(config: SnapshotConfig, { layers }: ArtifactManifest): void {
  const files = partsOf(config);
  // Counted before they are made: a run may say that it is as long as a number can be.
  const wanted = files.reduce((sum, { runs }) => sum + Math.ceil(bytesOf(runs) / CHUNK_BYTES), 0);
  if (wanted !== layers.length)
    throw new BadSnapshotArchive(`its files are in ${wanted} chunks, its manifest has ${layers.length}`);
  const pieces = files.flatMap(({ runs }) => piecesOf(runs));
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

/** All levels of a disk are of one size, and none leads elsewhere. Returns that size. */
async function checkDisks(
  { disks }: SnapshotConfig,
  files: readonly (FileHandle | undefined)[],
): Promise<number> {
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
