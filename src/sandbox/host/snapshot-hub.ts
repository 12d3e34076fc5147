/**
 * Snapshots that leave this host and that come to it, whatever carries them.
 *
 * What leaves is written as an OCI layout first, in a folder of its own that goes with the call, and with a daemon that is killed.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { anyOf, ResourceStack, temporaryPath } from '../../base/index.js';
import {
  archiveBytes,
  archiveOf,
  IncomingSnapshot,
  listKeys,
  packSnapshot,
  readKeyring,
  type Layout,
  type PackSource,
} from '../../hub/index.js';
import { forTravel } from '../../image/index.js';
import type { Lease, SnapshotView } from '../../store/index.js';
import { hubWorkDir } from '../entity/paths.js';
import type { Starts } from '../start/starts.js';
import { takeIn } from '../start/take-in.js';
import type { CallContext } from './call.js';
import type { HostContext } from './context.js';
import { catalogued } from './failures.js';

/** A snapshot as one file. */
export interface SnapshotArchive {
  readonly sizeBytes: number;
  /** Of its manifest. */
  readonly digest: string;
  /** Fingerprint of the key that signed it. */
  readonly signedBy: string | undefined;
  /** To be read to its end, or returned. */
  readonly bytes: AsyncGenerator<Buffer, void, undefined>;
}

/** A snapshot from elsewhere, to be taken in. */
export interface ImportSpec {
  /** Default: as it was called where it was made. */
  readonly tag?: string | undefined;
  /** Take also what nobody who is trusted here has signed. */
  readonly allowUnsigned: boolean;
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface Imported {
  readonly snapshot: SnapshotView;
  readonly digest: string;
  readonly signedBy: string | undefined;
}

/** What can be asked about snapshots of other hosts. Throws BoughError. */
export interface HubHost {
  /** Waits until the snapshot is durable. */
  export(tag: string, call: CallContext): Promise<SnapshotArchive>;
  /** Answers when it can be started from. */
  import(spec: ImportSpec, call: CallContext): Promise<Imported>;
  /** Public keys in PEM: what none of them has signed is only taken in unsigned. */
  trustedKeys(call: CallContext): Promise<string[]>;
}

export class SnapshotHub implements HubHost {
  readonly #context: HostContext;
  readonly #starts: Starts;
  readonly #keysDir: string;

  constructor(context: HostContext, starts: Starts, keysDir: string) {
    this.#context = context;
    this.#starts = starts;
    this.#keysDir = keysDir;
  }

  export(tag: string, { signal }: CallContext): Promise<SnapshotArchive> {
    return catalogued({ operation: 'export the snapshot' }, () =>
      this.#starts.run(async (closing) => {
        await using undo = new ResourceStack();
        const layout = await this.#pack(tag, undo, anyOf(closing, signal));
        const bytes = readOnce(archiveOf(layout), undo.move());
        // A generator that was never begun gives nothing back when it is left.
        await bytes.next();
        return { sizeBytes: archiveBytes(layout), digest: layout.digest, signedBy: layout.signedBy, bytes };
      }),
    );
  }

  import({ tag, allowUnsigned, bytes }: ImportSpec, { signal }: CallContext): Promise<Imported> {
    return catalogued({ operation: 'import the snapshot' }, () =>
      this.#starts.run(async (closing) => {
        const keyring = await readKeyring(this.#keysDir);
        const incoming = await IncomingSnapshot.open(bytes, { keyring, allowUnsigned });
        const options = { tag, signal: anyOf(closing, signal) };
        const snapshot = await takeIn(this.#context, incoming, options);
        const { digest, signedBy } = incoming;
        this.#context.emit('snapshot.imported', {
          tag: snapshot.tag,
          digest,
          signedBy,
          rebuilt: snapshot.rebuilt,
        });
        return { snapshot, digest, signedBy };
      }),
    );
  }

  trustedKeys(): Promise<string[]> {
    return catalogued({ operation: 'read the trusted keys' }, async () =>
      listKeys(await readKeyring(this.#keysDir)).map(({ pem }) => pem),
    );
  }

  async #pack(tag: string, undo: ResourceStack, signal?: AbortSignal): Promise<Layout> {
    const { store, tiers, cacheDir } = this.#context;
    const { signer } = await readKeyring(this.#keysDir);
    await store.durable(tag, signal);
    using lease = await store.acquire(tag, 'an export under way', signal);
    const folders = {
      hot: temporaryPath(join(hubWorkDir(tiers.hotDir), tag)),
      durable: temporaryPath(join(hubWorkDir(tiers.stateDir), tag)),
    };
    for (const folder of Object.values(folders)) {
      undo.defer(() => rm(folder, { recursive: true, force: true }));
      await mkdir(folder, { recursive: true, mode: 0o700 });
    }
    const { recipe, image } = lease.manifest;
    const boot = recipe && (await forTravel(cacheDir, image));
    const source = { ...(await sourceOf(lease, folders)), boot };
    const checkRoom = (bytes: number): Promise<void> => store.checkRoom(bytes);
    return await packSnapshot(source, join(folders.durable, 'layout'), { signer, checkRoom, signal });
  }
}

/** Links of our own to the files: what is done to the snapshot meanwhile does not matter. */
async function sourceOf(
  lease: Lease,
  folders: { readonly hot: string; readonly durable: string },
): Promise<PackSource> {
  const { tag, createdAtUnix, machine, image, agent, recipe, vmstate } = lease.manifest;
  const linked = await lease.linkInto(folders.hot, folders.durable);
  return {
    ...{ tag, createdAtUnix, machine, image, agent, recipe },
    vmstate: { path: linked.vmstatePath, bytes: vmstate.bytes, sha256: known(vmstate.sha256) },
    memory: linked.layers.map(({ path, runs, logicalBytes, sha256 }) => ({
      path,
      runs,
      logicalBytes,
      sha256: known(sha256),
    })),
    disks: linked.disks,
  };
}

/** What is durable has all its digests. */
function known(sha256: string | undefined): string {
  if (sha256 === undefined) throw new TypeError('A durable snapshot has an object without a digest');
  return sha256;
}

/** Gives back what the bytes are read from when they have been, or nobody wants them. */
async function* readOnce(
  bytes: AsyncGenerator<Buffer, void, undefined>,
  resources: ResourceStack,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield Buffer.alloc(0);
    yield* bytes;
  } finally {
    await resources.close();
  }
}
