/**
 * Makes a snapshot usable for a start: its layers hot, and everything checked against the manifest once.
 *
 * Layers that another hot snapshot has are linked, not read again; a layer that several snapshots want at once is read once. A hot
 * copy that does not match its digest is dropped and read again from the durable tier: it is a cache there. Only what is wrong with the
 * source is damage; a copy that cannot be written, or that someone has taken away, is an error like any other.
 */
import { link, mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, failpoint, FileTooShort } from '../../base/index.js';
import type { StoredEntry } from '../catalog.js';
import {
  durableFolder,
  fileExists,
  hotFolder,
  linkIfPresent,
  removeAll,
  type StoreContext,
} from '../context.js';
import { copyLayer, copyWholeFile, fileDigest, layerDigest } from '../format/copy.js';
import { diskDigest, kindOfDigest, type DiskDigestKind } from '../format/disk-digest.js';
import { IntegrityError, NoSpace } from '../errors.js';
import { writeManifest } from '../format/manifest-file.js';
import { VMSTATE_FILE, type ManifestLayer } from '../format/manifest.js';

/** Frees hot memory until this many bytes fit, as far as possible. */
export type MakeRoom = (neededBytes: number) => Promise<unknown>;

/** Loads what is not hot and checks what this process has not checked. Throws IntegrityError, NoSpace, or the I/O error. */
export class HotLoader {
  readonly #context: StoreContext;
  readonly #makeRoom: MakeRoom;
  readonly #flights = new Map<string, Flight>();

  constructor(context: StoreContext, makeRoom: MakeRoom) {
    this.#context = context;
    this.#makeRoom = makeRoom;
  }

  async ensureUsable(entry: StoredEntry): Promise<void> {
    if (!(await this.#isHotAndWhole(entry))) {
      await entry.hotTransition(async () => {
        if (await this.#isHotAndWhole(entry)) return;
        await evictHotCopy(this.#context, entry);
        await this.#load(entry);
      });
    }
    await this.#verifyDisks(entry);
  }

  /** Throws IntegrityError only where there is nothing to read the snapshot again from. */
  async #isHotAndWhole(entry: StoredEntry): Promise<boolean> {
    if (!entry.hot) return false;
    try {
      await this.#verifyHot(entry);
      return true;
    } catch (error) {
      if (!(error instanceof IntegrityError) || !entry.durable) throw error;
      this.#context.emit('hot-copy.damaged', { tag: entry.tag, object: error.object });
      return false;
    }
  }

  async #verifyHot(entry: StoredEntry): Promise<void> {
    const folder = hotFolder(this.#context, entry);
    const { layers, vmstate } = entry.manifest;
    await Promise.all([
      ...layers.map(({ file, runs, sha256 }) =>
        this.#verify(entry, folder, file, sha256, (path) => layerDigest(path, runs)),
      ),
      this.#verify(entry, folder, vmstate.file, vmstate.sha256, fileDigest),
    ]);
  }

  async #verifyDisks(entry: StoredEntry): Promise<void> {
    if (!entry.durable) return;
    const folder = durableFolder(this.#context, entry);
    const { disks } = entry.manifest;
    await Promise.all(
      disks.map(({ file, sha256 }) => {
        const kind = kindOfDigest(sha256);
        return this.#verify(entry, folder, file, sha256, (path) => diskDigest(path, kind), kind);
      }),
    );
  }

  async #verify(
    entry: StoredEntry,
    folder: string,
    file: string,
    sha256: string | undefined,
    digest: (path: string) => Promise<string>,
    kind?: DiskDigestKind,
  ): Promise<void> {
    const path = join(folder, file);
    const found = await namingDamage(entry, folder, file, async () => {
      await stat(path);
      if (sha256 === undefined) return undefined;
      return this.#context.verified.digestOf(path, () => digest(path), kind);
    });
    if (found !== undefined && found !== sha256) throw mismatch(entry, file);
  }

  async #load(entry: StoredEntry): Promise<void> {
    const { hot, hotSpace, underWay } = this.#context;
    const neededBytes = this.#bytesToLoad(entry);
    const reservation = await hotSpace.reserve(neededBytes).catch(async (error: unknown) => {
      if (!(error instanceof NoSpace)) throw error;
      await this.#makeRoom(neededBytes);
      return hotSpace.reserve(neededBytes);
    });
    const staging = hot.loading(entry.id);
    underWay.add(staging);
    try {
      await mkdir(join(staging, 'layers'), { recursive: true, mode: 0o700 });
      await failpoint('load.staged');
      for (const layer of entry.manifest.layers)
        await this.#loadLayer(entry, layer, join(staging, layer.file));
      await failpoint('load.layers-loaded');
      await this.#loadVmstate(entry, join(staging, VMSTATE_FILE));
      await failpoint('load.vmstate-loaded');
      await writeManifest(staging, entry.manifest, false);
      await failpoint('load.described');
      await rename(staging, hotFolder(this.#context, entry));
      await failpoint('load.renamed');
      entry.hot = true;
    } catch (error) {
      await removeAll(staging);
      throw await hotSpace.explain(error);
    } finally {
      underWay.delete(staging);
      reservation.release();
    }
    this.#context.emit('snapshot.loaded', { tag: entry.tag, bytes: neededBytes });
  }

  #bytesToLoad(entry: StoredEntry): number {
    let bytes = entry.manifest.vmstate.bytes;
    for (const layer of entry.manifest.layers) {
      const isHot = this.#context.catalog.holdersOf(`layer ${layer.id}`).some((holder) => holder.hot);
      if (!isHot) bytes += layer.physicalBytes;
    }
    return bytes;
  }

  async #loadLayer(entry: StoredEntry, layer: ManifestLayer, destination: string): Promise<void> {
    if (await this.#linkHotLayer(layer, destination)) return;
    const joined = this.#flights.get(layer.id);
    const flight = joined ?? this.#startFlight(entry, layer);
    flight.users += 1;
    try {
      await flight.loaded;
      await link(flight.path, destination);
    } catch (error) {
      if (joined === undefined || !(error instanceof IntegrityError)) throw error;
      // Another snapshot's file is damaged; this one may have a copy of its own.
      await this.#loadLayer(entry, layer, destination);
    } finally {
      flight.users -= 1;
      if (flight.users === 0) {
        this.#endFlight(flight);
        await rm(flight.path, { force: true });
        this.#context.underWay.delete(flight.path);
      }
    }
  }

  /** Links the layer from a hot snapshot, if one has it and it is what it should be. */
  async #linkHotLayer(layer: ManifestLayer, destination: string): Promise<boolean> {
    const { catalog, verified } = this.#context;
    for (const holder of catalog.holdersOf(`layer ${layer.id}`)) {
      const held = holder.manifest.layers.find((candidate) => candidate.id === layer.id);
      if (!holder.hot || held === undefined) continue;
      if (!(await linkIfPresent(join(hotFolder(this.#context, holder), held.file), destination))) continue;
      const digest = await verified.digestOf(destination, () => layerDigest(destination, layer.runs));
      if (digest === layer.sha256) return true;
      await rm(destination);
    }
    return false;
  }

  #startFlight(entry: StoredEntry, layer: ManifestLayer): Flight {
    const path = this.#context.hot.loading(`layer-${layer.id}`);
    this.#context.underWay.add(path);
    const folder = durableFolder(this.#context, entry);
    const load = async (): Promise<void> => {
      const digest = await copyLayer(join(folder, layer.file), layer, { path, mode: 0o400 });
      if (digest !== layer.sha256) throw mismatch(entry, layer.file);
      await failpoint('load.layer-read');
      await this.#context.verified.remember(path, digest);
    };
    const flight: Flight = {
      layerId: layer.id,
      path,
      users: 0,
      loaded: namingDamage(entry, folder, layer.file, load),
    };
    flight.loaded.catch(() => this.#endFlight(flight));
    this.#flights.set(layer.id, flight);
    return flight;
  }

  /** Nobody joins the flight from now on. */
  #endFlight(flight: Flight): void {
    if (this.#flights.get(flight.layerId) === flight) this.#flights.delete(flight.layerId);
  }

  async #loadVmstate(entry: StoredEntry, destination: string): Promise<void> {
    const folder = durableFolder(this.#context, entry);
    const digest = await namingDamage(entry, folder, VMSTATE_FILE, () =>
      copyWholeFile(join(folder, VMSTATE_FILE), { path: destination, mode: 0o400 }),
    );
    if (digest !== entry.manifest.vmstate.sha256) throw mismatch(entry, VMSTATE_FILE);
    await this.#context.verified.remember(destination, digest);
  }
}

/** A layer on its way into memory and how many wait for it. */
interface Flight {
  readonly layerId: string;
  readonly path: string;
  readonly loaded: Promise<void>;
  users: number;
}

/** Removes a snapshot's hot folder; call inside its `hotTransition`, on a durable snapshot. */
export async function evictHotCopy(context: StoreContext, entry: StoredEntry): Promise<void> {
  if (!entry.hot) return;
  entry.hot = false;
  const doomed = context.hot.deleted(entry.id);
  await rename(hotFolder(context, entry), doomed);
  await failpoint('evict.renamed');
  await removeAll(doomed);
}

const mismatch = (entry: StoredEntry, object: string): IntegrityError =>
  new IntegrityError(entry.tag, object, 'does not match its digest');

/** Runs `read`, which reads the snapshot's file `object` in `folder` and may write elsewhere. */
async function namingDamage<T>(
  entry: StoredEntry,
  folder: string,
  object: string,
  read: () => Promise<T>,
): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (errorCode(error) === 'ENOENT' && !(await fileExists(join(folder, object))))
      throw new IntegrityError(entry.tag, object, 'is missing');
    if (error instanceof FileTooShort) throw new IntegrityError(entry.tag, object, 'is too short');
    throw error;
  }
}
