/**
 * From the files of a snapshot to an OCI layout, and from that to one file.
 *
 * The manifest names the chunks by what they are when they are compressed, and comes before them in the file: so that who takes it in
 * knows what it is, and whether to believe it, before a byte of it is looked at. That is why a layout is written first.
 *
 * What a host alone knows does not travel: names of other snapshots, of sandboxes, how long to keep it, its network policy.
 */
import { createReadStream } from 'node:fs';
import { mkdir, open, stat, writeFile } from 'node:fs/promises';
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { compact, FileTooShort, MiB, sparseDigest } from '../base/index.js';
import type { Run } from '../store/index.js';
import { END_OF_ARCHIVE, memberBytes, memberHeader, paddingAfter } from './archive.js';
import { ChunkWriter, writeBlob, type CheckRoom } from './chunks.js';
import {
  blobName,
  CONFIG_TYPE,
  documentOf,
  indexOf,
  LAYOUT_TEXT,
  manifestOf,
  signatureOf,
  signedText,
  type SnapshotConfig,
} from './format.js';
import { signed } from './keys.js';
import { CHUNK_BYTES, joined } from './pieces.js';
import { withoutBacking } from './qcow2.js';

/** A snapshot's files as they lie on this host, checked. Memory layers and disk files bottom first. */
export interface PackSource extends Pick<
  SnapshotConfig,
  'tag' | 'createdAtUnix' | 'machine' | 'image' | 'agent' | 'recipe'
> {
  readonly vmstate: { readonly path: string; readonly bytes: number; readonly sha256: string };
  readonly memory: readonly (SnapshotConfig['memory'][number] & { readonly path: string })[];
  readonly disks: readonly { readonly path: string; readonly format: 'raw' | 'qcow2' }[];
  /** Of one that can be made again: its image, whose disk is the first. */
  readonly boot?: PackedBoot | undefined;
}

/** An image without its disk. */
export interface PackedBoot {
  readonly kernelPath: string;
  readonly modulesPath: string;
  readonly record: Readonly<Record<string, unknown>>;
}

export interface PackOptions {
  /** Signs it. */
  readonly signer?: KeyObject | undefined;
  /** Asked before each chunk is written. */
  readonly checkRoom?: CheckRoom | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A file of a layout; `content` is instead of what lies there under its name. */
export interface LayoutMember {
  readonly name: string;
  readonly bytes: number;
  readonly content?: Buffer;
}

/** A layout on disk, and in which order its files go into an archive. */
export interface Layout {
  readonly dir: string;
  /** Of the manifest. */
  readonly digest: string;
  /** Fingerprint of the key. */
  readonly signedBy: string | undefined;
  readonly members: readonly LayoutMember[];
}

/** Writes an OCI layout into `dir`, which must be empty. Throws ProgramMissing, BadSnapshotArchive for a disk that cannot travel. */
export async function packSnapshot(
  source: PackSource,
  dir: string,
  { signer, checkRoom, signal }: PackOptions = {},
): Promise<Layout> {
  await mkdir(join(dir, 'blobs/sha256'), { recursive: true, mode: 0o700 });
  const writer = new ChunkWriter(dir, { checkRoom, signal });
  const { vmstate, memory } = source;
  await addRuns(writer, vmstate.path, [[0, vmstate.bytes]], signal);
  for (const { path, runs } of memory) await addRuns(writer, path, runs, signal);
  const disks: SnapshotConfig['disks'] = [];
  for (const disk of source.disks) disks.push(await addDisk(writer, disk, signal));

  const boot = source.boot && (await addBoot(writer, source.boot, signal));

  const { tag, createdAtUnix, machine, image, agent, recipe } = source;
  const config: SnapshotConfig = {
    ...{ version: 1, chunkBytes: CHUNK_BYTES, tag, createdAtUnix, machine, image, agent },
    ...compact({ recipe, boot }),
    vmstate: { bytes: vmstate.bytes, sha256: vmstate.sha256 },
    memory: memory.map(({ logicalBytes, runs, sha256 }) => ({ logicalBytes, runs, sha256 })),
    disks,
  };
  const described = documentOf(CONFIG_TYPE, config);
  const manifest = manifestOf(config, described.descriptor, writer.chunks);
  const { digest } = manifest.descriptor;
  const signature = signer && signed(signedText(digest), signer);
  const signing = signature ? signatureOf(manifest.descriptor, signature.bytes, signature.fingerprint) : [];
  const documents = [manifest, ...signing, described];
  for (const { descriptor, bytes } of documents) await writeBlob(dir, descriptor.digest, bytes);
  const index = indexOf(tag, manifest.descriptor, signing[0]?.descriptor);
  await writeFile(join(dir, 'oci-layout'), LAYOUT_TEXT, { mode: 0o600 });
  await writeFile(join(dir, 'index.json'), index, { mode: 0o600 });
  const blobs = new Map(
    [...documents.map(({ descriptor }) => descriptor), ...writer.chunks].map((each) => [
      each.digest,
      each.size,
    ]),
  );
  return {
    ...{ dir, digest, signedBy: signature?.fingerprint },
    members: [
      { name: 'oci-layout', bytes: LAYOUT_TEXT.length },
      { name: 'index.json', bytes: index.length },
      // A chunk that occurs twice is there once, where it is needed first.
      ...[...blobs].map(([each, bytes]) => ({ name: blobName(each), bytes })),
    ],
  };
}

/** How many bytes `archiveOf` gives. */
export const archiveBytes = ({ members }: Layout): number =>
  members.reduce((sum, { bytes }) => sum + memberBytes(bytes), END_OF_ARCHIVE.length);

/** The layout as one file. */
export async function* archiveOf({ dir, members }: Layout): AsyncGenerator<Buffer, void, undefined> {
  for (const { name, bytes, content } of members) {
    yield memberHeader(name, bytes);
    if (content !== undefined) yield content;
    else yield* createReadStream(join(dir, name), { highWaterMark: MiB }) as AsyncIterable<Buffer>;
    yield paddingAfter(bytes);
  }
  yield END_OF_ARCHIVE;
}

async function addRuns(
  writer: ChunkWriter,
  path: string,
  runs: readonly Run[],
  signal?: AbortSignal,
): Promise<void> {
  const file = await open(path);
  try {
    const buffer = Buffer.allocUnsafe(1 << 20);
    for (const [offset, length] of runs) {
      for (let done = 0; done < length;) {
        signal?.throwIfAborted();
        const { bytesRead } = await file.read(
          buffer,
          0,
          Math.min(buffer.length, length - done),
          offset + done,
        );
        if (bytesRead === 0) throw new FileTooShort(path);
        await writer.add(buffer.subarray(0, bytesRead));
        done += bytesRead;
      }
    }
  } finally {
    await file.close();
  }
  await writer.endFile();
}

async function addBoot(
  writer: ChunkWriter,
  { kernelPath, modulesPath, record }: PackedBoot,
  signal?: AbortSignal,
): Promise<SnapshotConfig['boot']> {
  const add = async (path: string): Promise<number> => {
    const { size } = await stat(path);
    await addRuns(writer, path, [[0, size]], signal);
    return size;
  };
  return { kernelBytes: await add(kernelPath), modulesBytes: await add(modulesPath), record };
}

/** Only blocks that are not all zeros travel. */
async function addDisk(
  writer: ChunkWriter,
  { path, format }: PackSource['disks'][number],
  signal?: AbortSignal,
): Promise<SnapshotConfig['disks'][number]> {
  const found: Run[] = [];
  const onBlock = async (block: Buffer, position: number): Promise<void> => {
    const bytes = format === 'qcow2' && position === 0 ? withoutBacking(block) : block;
    found.push([position, bytes.length]);
    await writer.add(bytes);
  };
  const file = await open(path);
  try {
    await sparseDigest(file, path, { signal, onBlock });
    await writer.endFile();
    return { format, bytes: (await file.stat()).size, runs: joined(found) };
  } finally {
    await file.close();
  }
}
