/**
 * A snapshot while it is captured, up to the rename that makes it `ready`.
 *
 * Invariant: whatever ends a draft, its tag is settled exactly once, and after anything but `publish` no file
 * of it remains.
 */
import { chmodSync, linkSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { mkdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  compact,
  Deferred,
  errorCode,
  failpoint,
  linkIfPossible,
  messageOf,
  pick,
  unixSeconds,
} from '../../base/index.js';
import { StoredEntry, type WritingEntry } from '../catalog.js';
import { goFirst, linkIfPresent, listedFolder, removeAll, type StoreContext } from '../context.js';
import { copyLayer, digestInMemory } from '../format/copy.js';
import { copyDisk, kindOfDigest } from '../format/disk-digest.js';
import { bytesToPersist, DurableRoom } from '../tier/durable-room.js';
import { IntegrityError, TagExists } from '../errors.js';
import { removeFailed, STOPPED_REASON, writeFailed } from './failed.js';
import { newObjectId } from '../tier/folders.js';
import { writeManifest } from '../format/manifest-file.js';
import {
  diskFile,
  layerFile,
  MANIFEST_VERSION,
  manifestSchema,
  MAX_CHAIN_DEPTH,
  MEMORY_FILE,
  TAG_PATTERN,
  VMSTATE_FILE,
  type Manifest,
  type ManifestDisk,
  type ManifestLayer,
} from '../format/manifest.js';
import { LentFiles, type Writer } from './lent.js';
import { allocatedBytes, type Reservation } from '../tier/space.js';
import type { Draft } from '../store.js';
import type {
  Ancestry,
  CaptureFacts,
  DiskRef,
  DraftRequest,
  LayerRef,
  PublishFields,
  Run,
  SnapshotView,
} from '../types.js';

/** Called with each snapshot that has just become `ready`. */
export type OnReady = (entry: StoredEntry) => void;

/** See `Store.draft`. */
export async function startDraft(
  context: StoreContext,
  request: DraftRequest,
  onReady: OnReady,
): Promise<DraftFolder> {
  const { tag } = request;
  if (!TAG_PATTERN.test(tag)) throw new TypeError(`Not a tag: ${JSON.stringify(tag)}`);
  if (context.catalog.isTaken(tag)) throw new TagExists(tag);
  const previous = context.catalog.find(tag);
  const entry: WritingEntry = {
    kind: 'writing',
    id: newObjectId(),
    tag,
    request,
    createdAtUnix: unixSeconds(),
    ancestors: context.catalog.ancestryBelow(request.parentTag),
    facts: {},
    settled: new Deferred(),
  };
  context.catalog.put(entry);
  if (request.mode === 'live') {
    context.captures.add(entry.settled.promise);
    goFirst(context, entry.settled.promise);
  }
  const draft = new DraftFolder(context, entry, onReady);
  try {
    await draft.open();
    if (previous !== undefined) await removeFailed(context.hot.failed, tag);
  } catch (error) {
    await draft.abandon();
    if (previous !== undefined) context.catalog.put(previous);
    throw error;
  }
  return draft;
}

/** A draft and its two staging folders. */
export class DraftFolder implements Draft {
  readonly id: string;
  readonly tag: string;
  readonly memoryPath: string;
  readonly vmstatePath: string;
  readonly durableMemoryPath: string;
  readonly tail: DiskRef;
  /** Staging folder in the durable tier. */
  readonly durableStaging: string;
  readonly #context: StoreContext;
  readonly #entry: WritingEntry;
  readonly #onReady: OnReady;
  readonly #hotStaging: string;
  readonly #layers: ManifestLayer[] = [];
  readonly #disks: ManifestDisk[] = [];
  #hotReservation: Reservation | undefined;
  readonly #durableRoom: DurableRoom;
  #lent: LentFiles | undefined;
  #announced = false;
  /** What is done in the durable tier now, or was last. */
  #onDisk = Promise.resolve();
  #ended: Promise<void> | undefined;

  constructor(context: StoreContext, entry: WritingEntry, onReady: OnReady) {
    this.#context = context;
    this.#entry = entry;
    this.#onReady = onReady;
    this.#durableRoom = new DurableRoom(context);
    this.id = entry.id;
    this.tag = entry.tag;
    this.#hotStaging = context.hot.writing(entry.id);
    this.durableStaging = context.durable.writing(entry.id);
    this.memoryPath = join(this.#hotStaging, MEMORY_FILE);
    this.vmstatePath = join(this.#hotStaging, VMSTATE_FILE);
    this.durableMemoryPath = join(this.durableStaging, MEMORY_FILE);
    this.tail = { id: entry.id, format: 'qcow2', path: join(this.#hotStaging, diskFile(entry.id, 'qcow2')) };
  }

  /** Reserves room and makes the folders; those of a live capture on disk while it goes on. */
  async open(): Promise<void> {
    const { hotSpace } = this.#context;
    const { reserveHotBytes = 0, reserveDurableBytes = 0 } = this.#entry.request;
    this.#hotReservation = await hotSpace.reserve(reserveHotBytes, () => allocatedBytes(this.memoryPath));
    await this.#durableRoom.ensure(reserveDurableBytes);
    await failpoint('draft.reserved');
    await this.#inTier('hot', () => {
      for (const folder of ['', 'layers', 'disk']) mkdirSync(join(this.#hotStaging, folder), { mode: 0o700 });
    });
    const made = this.#doOnDisk(async () => {
      for (const folder of ['', 'disk']) await mkdir(join(this.durableStaging, folder), { mode: 0o700 });
    });
    if (this.#entry.request.mode !== 'live') await made;
    await failpoint('draft.staged');
  }

  async lendTo(writer: Writer): Promise<void> {
    const hot = [this.memoryPath, this.vmstatePath, this.tail.path];
    const durable = this.#entry.request.mode === 'live' ? [] : [this.durableMemoryPath];
    this.#lent = await LentFiles.lend({ hot, durable }, writer);
  }

  async addAncestry({ layers, disks }: Ancestry): Promise<void> {
    if (layers.length >= MAX_CHAIN_DEPTH || disks.length >= MAX_CHAIN_DEPTH)
      throw new RangeError(`A snapshot cannot stand on ${MAX_CHAIN_DEPTH} layers; compact it first`);
    for (const layer of layers) await this.#addLayer(layer);
    await failpoint('draft.layers-linked');
    for (const disk of disks) await this.addDisk(disk);
    await failpoint('draft.disks-linked');
  }

  async #addLayer({ id, path, runs, logicalBytes, sha256 }: LayerRef): Promise<void> {
    const file = layerFile(id);
    const destination = join(this.#hotStaging, file);
    await this.#inTier('hot', async () => {
      try {
        linkSync(path, destination);
      } catch (error) {
        if (errorCode(error) === 'ENOENT' || errorCode(error) === 'EEXIST') throw error;
        await copyLayer(path, { runs, logicalBytes }, { path: destination });
      }
    });
    this.#layers.push(
      manifestLayer(id, file, logicalBytes, runs, sha256 ?? this.#knownDigest(`layer ${id}`)),
    );
  }

  async addDisk({ id, path, format, sha256 }: DiskRef): Promise<void> {
    const file = diskFile(id, format);
    const tier = path.startsWith(`${this.#context.hot.path}/`) ? 'hot' : 'durable';
    const destination = join(tier === 'hot' ? this.#hotStaging : this.durableStaging, file);
    const known = sha256 ?? this.#knownDigest(`disk ${id}`);
    await this.#onDisk;
    await this.#inTier(tier, async () => {
      const isLinked =
        (await linkIfPossible(path, destination)) ||
        (await this.#linkDurableDisk(id, file, destination, sha256));
      const found = isLinked ? known : await copyDisk(path, { path: destination }, kindOfDigest(sha256));
      if (!isLinked && sha256 !== undefined && found !== sha256)
        throw new IntegrityError(this.tag, path, 'does not match its digest');
      const { size: bytes } = await stat(destination);
      this.#disks.push({ id, file, format, bytes, ...compact({ sha256: found }) });
    });
  }

  /** A disk file that the caller has written into `durableStaging` itself. */
  async addWrittenDisk(id: string, format: 'raw' | 'qcow2'): Promise<void> {
    const file = diskFile(id, format);
    const { size: bytes } = await stat(join(this.durableStaging, file));
    this.#disks.push({ id, file, format, bytes });
  }

  /** Folders for links that are needed only while the draft is written. */
  get scratch(): { readonly hot: string; readonly durable: string } {
    return { hot: join(this.#hotStaging, 'scratch'), durable: join(this.durableStaging, 'scratch') };
  }

  async removeScratch(): Promise<void> {
    for (const folder of Object.values(this.scratch)) await removeAll(folder);
  }

  note(facts: CaptureFacts): void {
    Object.assign(this.#entry.facts, facts);
  }

  async announce(): Promise<void> {
    this.#announced = true;
    await writeFailed(this.#context, { ...this.#identity(), reason: STOPPED_REASON });
    await failpoint('draft.announced');
  }

  async publish(fields: PublishFields): Promise<SnapshotView> {
    if (this.#ended !== undefined) throw new TypeError(`The draft of "${this.tag}" has ended already`);
    const published = this.#publish(fields);
    this.#ended = published.then(
      () => undefined,
      () => undefined,
    );
    return published;
  }

  async #publish(fields: PublishFields): Promise<SnapshotView> {
    try {
      await this.#lent?.takeBack();
      // Beside what is done in memory.
      const renamed = this.#doOnDisk(() => rename(this.durableStaging, this.#context.durable.ready(this.id)));
      const manifest = this.#seal(fields);
      await failpoint('publish.sealed');
      if (fields.memory.isDurable !== true) await this.#durableRoom.ensure(bytesToPersist(manifest));
      await this.#inTier('hot', () => writeManifest(this.#hotStaging, manifest, false));
      await failpoint('publish.described');
      await renamed;
      await failpoint('publish.disk-renamed');
      renameSync(this.#hotStaging, this.#context.hot.snapshot(this.tag));
      await failpoint('publish.renamed');
      return this.#succeed(manifest, fields.memory.isDurable === true);
    } catch (error) {
      await this.#end(messageOf(error));
      throw error;
    }
  }

  abandon(reason = 'abandoned'): Promise<void> {
    this.#ended ??= this.#end(reason);
    return this.#ended;
  }

  /** Checks what the capture wrote, makes it read-only, and returns the manifest. */
  #seal(fields: PublishFields): Manifest {
    const { memory, hasTail } = fields;
    for (const path of [this.memoryPath, this.vmstatePath]) chmodSync(path, 0o400);
    const { size: memoryBytes } = statSync(this.memoryPath);
    const { size: vmstateBytes } = statSync(this.vmstatePath);
    if (memoryBytes !== memory.logicalBytes)
      throw new Error(`${MEMORY_FILE} has ${memoryBytes} bytes, the guest's RAM ${memory.logicalBytes}`);
    if (vmstateBytes === 0) throw new Error(`${VMSTATE_FILE} is empty`);
    if (hasTail) {
      const { id, format, path } = this.tail;
      this.#disks.push({ id, file: diskFile(id, format), format, bytes: statSync(path).size });
    } else {
      rmSync(this.tail.path, { force: true });
    }
    const own = manifestLayer(this.id, MEMORY_FILE, memory.logicalBytes, memory.runs, undefined);
    // The runs of layers below were checked when they were read, or captured, and may be many.
    const below = this.#layers.map((layer) => ({ ...layer, runs: [], physicalBytes: 0 }));
    const checked = manifestSchema.parse({
      version: MANIFEST_VERSION,
      id: this.id,
      tag: this.tag,
      createdAtUnix: this.#entry.createdAtUnix,
      mode: this.#entry.request.mode,
      ...pick(this.#entry.request, ['branchedFrom', 'retention', 'requestKey']),
      ...this.#entry.facts,
      ...pick(fields, ['pauseMs', 'stoppedMs', 'capturedBytes']),
      ancestors: [...this.#entry.ancestors],
      bootable: fields.bootable ?? true,
      machine: fields.machine,
      image: fields.image,
      agent: fields.agent,
      ...pick(fields, ['network', 'recipe', 'rebuilt', 'warning']),
      layers: [...below, own],
      disks: this.#disks,
      vmstate: { file: VMSTATE_FILE, bytes: vmstateBytes, sha256: digestInMemory(this.vmstatePath) },
    } satisfies Manifest);
    return { ...checked, layers: [...this.#layers, own] };
  }

  #succeed(manifest: Manifest, memoryIsDurable: boolean): SnapshotView {
    const { catalog } = this.#context;
    const stored = new StoredEntry(manifest, { hot: true, durable: false });
    stored.durableReservation = this.#durableRoom;
    stored.memoryIsDurable = memoryIsDurable;
    this.#hotReservation?.release();
    catalog.put(stored);
    this.#entry.settled.resolve();
    if (this.#announced) this.#context.running.add(removeFailed(this.#context.hot.failed, this.tag));
    this.#onReady(stored);
    return catalog.view(stored, (entry) => listedFolder(this.#context, entry));
  }

  async #end(reason: string): Promise<void> {
    const { catalog, durable } = this.#context;
    const failed = { ...this.#identity(), reason };
    await this.#onDisk.catch(() => undefined);
    try {
      // A publish that failed half way may have renamed the durable half already.
      for (const folder of [this.#hotStaging, this.durableStaging, durable.ready(this.id)])
        await removeAll(folder);
      await failpoint('abandon.removed');
      // Where that cannot be written it is known until the next start, and is no other failure.
      if (this.#announced) await writeFailed(this.#context, failed).catch(() => undefined);
    } finally {
      this.#hotReservation?.release();
      this.#durableRoom.release();
      if (this.#announced) catalog.put({ kind: 'failed', ...failed });
      else catalog.remove(this.tag);
      this.#entry.settled.resolve();
    }
  }

  #identity(): { id: string; tag: string; createdAtUnix: number; branchedFrom?: string } {
    const { id, tag, createdAtUnix, request } = this.#entry;
    return { id, tag, createdAtUnix, ...pick(request, ['branchedFrom']) };
  }

  /** After what was to be done there before; whoever needs it waits for it, and the end of the draft does. */
  #doOnDisk(write: () => Promise<void>): Promise<void> {
    const done = this.#onDisk.then(() => this.#inTier('durable', write));
    done.catch(() => undefined);
    this.#onDisk = done;
    return done;
  }

  /**
   * Links a disk file from a snapshot that has it on disk already, such as an image from another file system.
   */
  async #linkDurableDisk(
    id: string,
    file: string,
    destination: string,
    sha256: string | undefined,
  ): Promise<boolean> {
    const { catalog, durable } = this.#context;
    for (const holder of catalog.holdersOf(`disk ${id}`)) {
      const disk = holder.manifest.disks.find((candidate) => candidate.id === id);
      if (!holder.durable || disk?.file !== file || (sha256 !== undefined && disk.sha256 !== sha256))
        continue;
      if (await linkIfPresent(join(durable.snapshot(holder.tag), file), destination)) return true;
    }
    return false;
  }

  #knownDigest(object: string): string | undefined {
    const [kind, id] = object.split(' ');
    for (const { manifest } of this.#context.catalog.holdersOf(object)) {
      const found = (kind === 'layer' ? manifest.layers : manifest.disks).find(
        (candidate) => candidate.id === id,
      );
      if (found?.sha256 !== undefined) return found.sha256;
    }
    return undefined;
  }

  async #inTier(tier: 'hot' | 'durable', write: () => void | Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      throw await (tier === 'hot' ? this.#context.hotSpace : this.#context.durableSpace).explain(error);
    }
  }
}

function manifestLayer(
  id: string,
  file: string,
  logicalBytes: number,
  runs: readonly Run[],
  sha256: string | undefined,
): ManifestLayer {
  const physicalBytes = runs.reduce((sum, [, lengthBytes]) => sum + lengthBytes, 0);
  const layer = { id, file, logicalBytes, runs, physicalBytes };
  return sha256 === undefined ? layer : { ...layer, sha256 };
}
