/** A hold on a complete snapshot, and the links a sandbox takes with it. */
import { link, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compact, errorCode, monotonicMs } from '../../base/index.js';
import type { StoredEntry } from '../catalog.js';
import { hotFolder, linkDisk, type StoreContext } from '../context.js';
import { VMSTATE_FILE, type Manifest } from '../format/manifest.js';
import type { Lease, LinkedSnapshot } from '../store.js';
import type { DiskRef, LayerRef } from '../types.js';

/**
 * Holds `entry` from construction until `release()`; its layers become usable only after
 * `HotLoader.ensureUsable`.
 */
export class SnapshotLease implements Lease {
  readonly #context: StoreContext;
  readonly #entry: StoredEntry;
  readonly #mark: { readonly holder: string };

  constructor(context: StoreContext, entry: StoredEntry, holder: string) {
    this.#context = context;
    this.#entry = entry;
    this.#mark = { holder };
    entry.leases.add(this.#mark);
    entry.lastUsedMs = monotonicMs();
  }

  get manifest(): Manifest {
    return this.#entry.manifest;
  }

  get layers(): readonly LayerRef[] {
    return this.#layersIn(hotFolder(this.#context, this.#entry), (file) => file);
  }

  get vmstatePath(): string {
    return join(hotFolder(this.#context, this.#entry), VMSTATE_FILE);
  }

  async linkInto(hotDir: string, stateDir: string): Promise<LinkedSnapshot> {
    const sandbox = { hot: hotDir, durable: stateDir };
    for (const folder of [join(hotDir, 'layers'), join(hotDir, 'disk'), join(stateDir, 'disk')]) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    }
    const linked = this.#layersIn(hotDir, (_file, id) => `layers/${id}.bin`);
    for (const [index, layer] of this.layers.entries()) {
      const destination = linked[index]?.path;
      if (destination !== undefined) await linkOnce(layer.path, destination);
    }
    const disks: DiskRef[] = [];
    for (const { id, file, format, sha256 } of this.manifest.disks) {
      const path = await linkDisk(this.#context, this.#entry, file, (tier) => join(sandbox[tier], file));
      disks.push({ id, path, format, ...compact({ sha256 }) });
    }
    return { layers: linked, disks, vmstatePath: this.vmstatePath };
  }

  #layersIn(folder: string, nameOf: (file: string, id: string) => string): LayerRef[] {
    return this.manifest.layers.map(({ id, file, runs, logicalBytes, sha256 }) => ({
      id,
      path: join(folder, nameOf(file, id)),
      runs,
      logicalBytes,
      ...compact({ sha256 }),
    }));
  }

  release(): void {
    this.#entry.leases.delete(this.#mark);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** A sandbox that links a snapshot it has linked parts of before finds some of the objects in place. */
async function linkOnce(source: string, destination: string): Promise<void> {
  try {
    await link(source, destination);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}
