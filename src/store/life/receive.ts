/**
 * A snapshot from elsewhere on its way in: its files, before anything stands on them.
 *
 * They lie in staging folders as those of a draft do, which nobody lists and which the next daemon removes. Nothing here is a snapshot
 * yet: whoever receives it makes one that stands on what came.
 *
 * Objects are named by what they hold, never as their sender named them: so the same id is the same content here too, and what this host
 * has already, from that sender or another, is one file.
 */
import { chmod, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { failpoint, ResourceStack } from '../../base/index.js';
import { durableFolder, hotFolder, linkIfPresent, removeAll, type StoreContext } from '../context.js';
import type { StoredEntry } from '../catalog.js';
import { IntegrityError, NoSpace, TagExists } from '../errors.js';
import { fileDigest, layerDigest } from '../format/copy.js';
import { diskDigest } from '../format/disk-digest.js';
import { VMSTATE_FILE } from '../format/manifest.js';
import type { LinkedSnapshot, Received, Reception } from '../store.js';
import { filesBelow } from '../tier/counted-file.js';
import { DurableRoom } from '../tier/durable-room.js';
import { newObjectId } from '../tier/folders.js';
import type { Reservation } from '../tier/space.js';
import type { DiskRef, LayerRef, Run } from '../types.js';

/** Frees hot memory until this many bytes fit, as far as possible. */
type MakeRoom = (neededBytes: number) => Promise<unknown>;

interface Folders {
  readonly hot: string;
  readonly durable: string;
}

const BASE_ID_DIGITS = 32;

/** See `Store.receive`. */
export async function startReception(
  context: StoreContext,
  received: Received,
  makeRoom: MakeRoom,
): Promise<Reception> {
  if (context.catalog.isTaken(received.tag)) throw new TagExists(received.tag);
  await using undo = new ResourceStack();
  const id = newObjectId();
  const folders = { hot: context.hot.writing(id), durable: context.durable.writing(id) };
  const { memoryBytes } = received;
  const hotRoom = await reserveHot(context, memoryBytes, folders.hot, makeRoom);
  undo.defer(() => hotRoom.release());
  const durableRoom = new DurableRoom(context);
  undo.defer(() => durableRoom.release());
  // What is in memory goes to disk as well, once it is a snapshot's.
  await durableRoom.ensure(memoryBytes + received.diskBytes);
  await failpoint('receive.reserved');
  for (const folder of Object.values(folders)) {
    context.underWay.add(folder);
    undo.defer(() => context.underWay.delete(folder));
    undo.defer(() => removeAll(folder));
    await mkdir(folder, { mode: 0o700 });
  }
  await failpoint('receive.staged');
  return new StagedReception(context, folders, received.tag, undo.move());
}

async function reserveHot(
  { hotSpace }: StoreContext,
  bytes: number,
  folder: string,
  makeRoom: MakeRoom,
): Promise<Reservation> {
  const written = async (): Promise<number> =>
    (await filesBelow(folder)).reduce((total, file) => total + file.bytes, 0);
  return hotSpace.reserve(bytes, written).catch(async (error: unknown) => {
    if (!(error instanceof NoSpace)) throw error;
    await makeRoom(bytes);
    return hotSpace.reserve(bytes, written);
  });
}

class StagedReception implements Reception {
  readonly #context: StoreContext;
  readonly #folders: Folders;
  readonly #tag: string;
  readonly #resources: ResourceStack;

  constructor(context: StoreContext, folders: Folders, tag: string, resources: ResourceStack) {
    this.#context = context;
    this.#folders = folders;
    this.#tag = tag;
    this.#resources = resources;
  }

  get vmstatePath(): string {
    return join(this.#folders.hot, VMSTATE_FILE);
  }
  memoryPath(index: number): string {
    return join(this.#folders.hot, `memory-${index}`);
  }
  diskPath(index: number): string {
    return join(this.#folders.durable, `disk-${index}`);
  }

  async finish(content: Parameters<Reception['finish']>[0], signal?: AbortSignal): Promise<LinkedSnapshot> {
    const found = await fileDigest(this.vmstatePath, signal);
    if (found !== content.vmstate.sha256) throw this.#damaged('the device state');
    await chmod(this.vmstatePath, 0o400);
    const layers: LayerRef[] = [];
    for (const [index, layer] of content.memory.entries())
      layers.push(await this.#layer(this.memoryPath(index), layer, signal));
    const disks: DiskRef[] = [];
    for (const [index, { format }] of content.disks.entries())
      disks.push(await this.#disk(this.diskPath(index), format, signal));
    await failpoint('receive.checked');
    // One that lies twice in a stack is covered by itself where it lies lower.
    return { layers: lastOfEach(layers), disks: lastOfEach(disks), vmstatePath: this.vmstatePath };
  }

  async #layer(
    path: string,
    { runs, logicalBytes, sha256 }: { runs: readonly Run[]; logicalBytes: number; sha256: string },
    signal: AbortSignal | undefined,
  ): Promise<LayerRef> {
    if ((await layerDigest(path, runs, signal)) !== sha256) throw this.#damaged('a memory layer');
    await chmod(path, 0o400);
    const id = `memory-${sha256}`;
    await this.#share(`layer ${id}`, path, (entry) => {
      const held = entry.manifest.layers.find((layer) => layer.id === id);
      return entry.hot && held ? join(hotFolder(this.#context, entry), held.file) : undefined;
    });
    return { id, path, runs, logicalBytes, sha256 };
  }

  async #disk(path: string, format: DiskRef['format'], signal: AbortSignal | undefined): Promise<DiskRef> {
    const sha256 = await diskDigest(path, 'sparse', signal);
    const hex = sha256.slice(-64);
    // As that of an image's disk is named here.
    const id = format === 'raw' ? `base-${hex.slice(0, BASE_ID_DIGITS)}` : `disk-${hex}`;
    await this.#share(`disk ${id}`, path, (entry) => {
      const held = entry.manifest.disks.find((disk) => disk.id === id);
      const isSame = entry.durable && held?.sha256 === sha256 && held.format === format;
      return isSame ? join(durableFolder(this.#context, entry), held.file) : undefined;
    });
    return { id, path, format, sha256 };
  }

  /** Puts a link to the file of a snapshot that has the same object in place of what came. */
  async #share(
    object: string,
    path: string,
    fileOf: (entry: StoredEntry) => string | undefined,
  ): Promise<void> {
    for (const holder of this.#context.catalog.holdersOf(object)) {
      const file = fileOf(holder);
      if (file === undefined || !(await linkIfPresent(file, `${path}-shared`))) continue;
      await rename(`${path}-shared`, path);
      return;
    }
  }

  #damaged(object: string): IntegrityError {
    return new IntegrityError(this.#tag, object, 'does not match its digest');
  }

  close(): Promise<void> {
    return this.#resources.close();
  }
}

/** The objects without those that come again higher up. */
function lastOfEach<T extends { readonly id: string }>(objects: readonly T[]): T[] {
  return objects.filter(({ id }, index) => !objects.slice(index + 1).some((later) => later.id === id));
}
