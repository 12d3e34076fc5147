/** Snapshots that cannot be loaded are made again from their images, as they were made, and say so; branches are not. No VM. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { BoughError, isBoughError } from '../../src/contract/index.js';
import { archiveOf, IncomingSnapshot, packSnapshot, type PackedBoot } from '../../src/hub/index.js';
import { findImage, forTravel } from '../../src/image/index.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import type { HostContext } from '../../src/sandbox/host/context.js';
import { SnapshotHub } from '../../src/sandbox/host/snapshot-hub.js';
import type { SnapshotSpec } from '../../src/sandbox/start/boot-spec.js';
import { createSnapshot } from '../../src/sandbox/start/create-snapshot.js';
import { importSnapshot, type ImportSteps } from '../../src/sandbox/start/import-snapshot.js';
import { Starts } from '../../src/sandbox/start/starts.js';
import { takeIn } from '../../src/sandbox/start/take-in.js';
import type { Manifest, SnapshotView, Store } from '../../src/store/index.js';
import { cpuModelFor } from '../../src/vmm/index.js';
import { bootSteps, contextOver } from '../faults/host-parts.js';
import { openIn, type StoreDirs } from '../faults/store-world.js';
import { WorldCopies } from '../faults/world-copies.js';
import { forged } from '../support/archive-forge.js';
import { madeQcow2, madeSnapshot, type Made } from '../support/made-snapshot.js';
import { plantImage } from '../support/planted-image.js';

const SERVICE = { args: ['serve', 'it'], ready: { kind: 'tcp', port: 80 }, timeoutMs: 5000 } as const;
const RECIPE = { service: SERVICE, restMs: 1, kernelCmdline: 'quiet' };

describe('a snapshot that is made again', () => {
  let copies: WorldCopies;
  let dirs: StoreDirs;
  let store: Store;
  let context: HostContext;
  let scratch: string;
  let digest: string;
  let started: unknown[];

  before(async () => {
    copies = await WorldCopies.open();
    scratch = await mkdtemp(join(tmpdir(), 'bough-again-'));
  });
  beforeEach(async () => {
    dirs = await copies.make();
    store = await openIn(dirs);
    context = contextOver(dirs, store);
    digest = await plantImage(context.cacheDir, 'mine');
    started = [];
  });
  afterEach(async () => {
    await store.close();
    await copies.clean();
  });
  after(async () => {
    await copies.close();
    await rm(scratch, { recursive: true });
  });

  const steps = () => ({
    ...bootSteps(madeQcow2()),
    startService: (_agent: unknown, service: unknown) => {
      started.push(service);
      return Promise.resolve();
    },
  });
  const make = (spec: SnapshotSpec): Promise<SnapshotView> => createSnapshot(context, spec, {}, steps());
  const manifestOf = async (tag: string): Promise<Manifest> => {
    await store.ready(tag);
    using lease = await store.acquire(tag, 'sandbox check');
    return lease.manifest;
  };
  const archived = async (more: object = {}, made: Made = {}): Promise<Buffer> => {
    const source = await madeSnapshot(await mkdtemp(join(scratch, 'made-')), made);
    const image = { name: 'mine', digest };
    const packed = await packSnapshot(
      { ...source, image, recipe: RECIPE, ...more },
      await mkdtemp(join(scratch, 'layout-')),
    );
    return read(archiveOf(packed));
  };
  const taken = async (
    archive: Buffer,
    over = context,
    more: Partial<ImportSteps> = {},
  ): Promise<{ view: SnapshotView; unread: number }> => {
    let unread = archive.length;
    const bytes = async function* (): AsyncGenerator<Buffer> {
      for (let at = 0; at < archive.length; at += 4096) {
        const piece = archive.subarray(at, at + 4096);
        unread -= piece.length;
        yield await Promise.resolve(piece);
      }
    };
    const trust = { keyring: { trusted: new Map() }, allowUnsigned: true };
    const incoming = await IncomingSnapshot.open(bytes(), trust);
    const identifyChild = (): Promise<string> => Promise.resolve('only here');
    const view = await takeIn(
      over,
      incoming,
      { tag: 'came' },
      {
        importSnapshot: (over_, from, options) =>
          importSnapshot(over_, from, options, { ...steps(), identifyChild, ...more }),
        createSnapshot: (over_, spec, options) => createSnapshot(over_, spec, options, steps()),
      },
    );
    return { view, unread };
  };
  const refused = async (archive: Buffer, words: RegExp): Promise<void> => {
    const before = await readdir(join(dirs.hotDir, 'snapshots'));
    await assert.rejects(taken(archive), (error: unknown) => {
      assert(isBoughError(error, 'snapshot_incompatible'), String(error));
      assert.match(error.message, /its QEMU version is 9\.1, this host has 7\.2/);
      assert.match(error.message, words);
      return true;
    });
    assert.deepEqual(await readdir(join(dirs.hotDir, 'snapshots')), before);
    assert.deepEqual(started, []);
  };
  const foreign = (archive: Buffer): Buffer =>
    forged(archive, { config: { 'machine.qemuVersion': '9.1.0' } });

  it('is what another was made of: machine, service, command line', async () => {
    const service = { start: SERVICE.args, ready: SERVICE.ready, readyTimeoutMs: SERVICE.timeoutMs };
    const how = { memoryMiB: 1, vcpus: 2, restMs: 1, kernelCmdline: 'quiet', service };
    await make({ tag: 'first', image: 'mine', ...how });
    const first = await manifestOf('first');
    assert.deepEqual(first.recipe, RECIPE);
    await make({ tag: 'second', image: { like: 'first' } });
    const second = await manifestOf('second');
    assert.deepEqual(
      [second.recipe, second.machine, second.image],
      [first.recipe, first.machine, first.image],
    );
    assert.equal(second.rebuilt, undefined);
    assert.deepEqual(started, [SERVICE, SERVICE]);
  });

  it('is no branch, and none whose image has gone, and says which', async () => {
    const like = (tag: string): Promise<SnapshotView> => make({ tag: 'new', image: { like: tag } });
    const about = (words: RegExp) => (error: unknown) =>
      isBoughError(error, 'invalid_request') && words.test(error.message);
    await assert.rejects(like('base'), about(/like.* cannot be made again: it was branched, or/));
    await make({ tag: 'first', image: 'mine', memoryMiB: 1 });
    await rm(join(context.cacheDir, 'images'), { recursive: true });
    await assert.rejects(like('first'), about(/its image "mine" is not here/));
    await assert.rejects(like('nothing'), /There is no snapshot "nothing"/);
  });

  it('comes of one that another QEMU made, and says why', async () => {
    const { view, unread } = await taken(foreign(await archived()));
    assert.deepEqual(
      [view.tag, view.rebuilt, unread],
      ['came', 'its QEMU version is 9.1, this host has 7.2', 0],
    );
    assert.deepEqual(started, [SERVICE]);
    const { recipe, agent, layers, rebuilt } = await manifestOf('came');
    assert.deepEqual([recipe, agent.secret, layers.length], [RECIPE, 'secret', 1]);
    assert.equal(rebuilt, view.rebuilt);
  });

  const others = [
    [{ 'machine.cpuModel': 'qemu64' }, `its CPU model is qemu64, this host has ${cpuModelFor('tcg')}`],
    [{ 'machine.accel': 'kvm' }, 'its accelerator is kvm, this host has tcg'],
  ] as const;
  for (const [config, rebuilt] of others)
    it(`is booted where ${rebuilt}`, async () => {
      const { view, unread } = await taken(forged(await archived(), { config }));
      assert.deepEqual([view.rebuilt, unread, started], [rebuilt, 0, [SERVICE]]);
    });

  it('comes of nothing else: not of a branch, of another build, or without an image', async () => {
    await refused(
      foreign(await archived({ recipe: undefined })),
      /cannot be made again either: it was branched/,
    );
    const other = { image: { name: 'mine', digest: 'f'.repeat(64) } };
    await refused(
      foreign(await archived(other)),
      /image "mine" has the digest ffffffffffff, the one that is here/,
    );
    const absent = { image: { name: 'absent', digest } };
    await refused(foreign(await archived(absent)), /its image "absent" is not here/);
  });

  describe('with its image, which is not here', () => {
    const elsewhere = (): string => join(scratch, 'cache-of-the-sender');
    /** As a host sends it that has the image; `meanwhile` changes what it sends. */
    const sent = async (meanwhile: (boot: PackedBoot) => Promise<unknown> = () => Promise.resolve()) => {
      await rm(elsewhere(), { recursive: true, force: true });
      const sentDigest = await plantImage(elsewhere(), 'theirs');
      const boot = await forTravel(elsewhere(), { name: 'theirs', digest: sentDigest });
      assert(boot);
      const rootfs = await readFile(join(dirname(boot.kernelPath), 'rootfs.ext4'));
      await meanwhile(boot);
      const disks: Made['disks'] = [
        { bytes: rootfs, format: 'raw' },
        { bytes: madeQcow2(), format: 'qcow2' },
      ];
      const image = { name: 'theirs', digest: sentDigest };
      return { rootfs, image, archive: foreign(await archived({ image, boot }, { disks })) };
    };

    it('is booted from what came, which is the very image, and nothing of that is left', async () => {
      const { archive, image, rootfs } = await sent();
      const { view, unread } = await taken(archive);
      assert.deepEqual([view.rebuilt?.slice(0, 28), unread], ['its QEMU version is 9.1, thi', 0]);
      assert.deepEqual(started, [SERVICE]);
      await store.durable('came');
      const made = await manifestOf('came');
      assert.deepEqual([made.image, made.recipe], [image, RECIPE]);
      const base = join(dirs.stateDir, 'snapshots/came', made.disks[0]?.file ?? '');
      assert((await readFile(base)).equals(rootfs));
      assert.deepEqual(await readdir(join(dirs.stateDir, 'hub')), []);
      await assert.rejects(findImage(context.cacheDir, 'theirs'));
    });

    it('is refused where what came is not that image, and leaves nothing', async () => {
      const { archive } = await sent(({ modulesPath }) => writeFile(modulesPath, 'others'));
      const words = /image "theirs" that came with it: its digest is [0-9a-f]{12}, not/;
      await assert.rejects(taken(archive), words);
      assert.deepEqual([started, await readdir(join(dirs.stateDir, 'hub'))], [[], []]);
      const { archive: odd } = await sent();
      await assert.rejects(
        taken(forged(odd, { config: { 'boot.record': {} } })),
        /what is said of it is damaged/,
      );
      await assert.rejects(taken(forged(odd, { config: { 'boot.kernelBytes': 2 ** 40 } })), /chunks/);
    });

    it('loads where it can, and leaves the image in what came', async () => {
      const { archive } = await sent();
      const { view, unread } = await taken(forged(archive, { config: { 'machine.qemuVersion': '7.2.22' } }));
      assert.deepEqual([view.tag, view.rebuilt, unread], ['came', undefined, 0]);
    });

    it('is read no more of one that QEMU refuses when all of it is unpacked', async () => {
      const { archive } = await sent();
      const facts = { tag: 'came', field: 'QEMU version', wanted: '7.2.21', found: '7.2.22' };
      const startVm = (): Promise<never> => Promise.reject(new BoughError('snapshot_incompatible', facts));
      const loadable = forged(archive, { config: { 'machine.qemuVersion': '7.2.22' } });
      await assert.rejects(taken(loadable, context, { startVm }), (error: unknown) => {
        assert(isBoughError(error, 'snapshot_incompatible'), String(error));
        assert.match(error.message, /its image "theirs" is not here/);
        return true;
      });
    });
  });

  it('leaves this host with its image', async () => {
    await make({ tag: 'first', image: 'mine', memoryMiB: 1 });
    const hub = new SnapshotHub(context, new Starts(context), join(scratch, 'no-keys'));
    const { bytes } = await hub.export('first', ownCall());
    const trust = { keyring: { trusted: new Map() }, allowUnsigned: true };
    const { config } = await IncomingSnapshot.open(bytes, trust);
    await bytes.return();
    assert.deepEqual([config.image.digest, config.boot?.record['digest']], [digest, digest]);
    assert.deepEqual(config.boot?.kernelBytes, 'vmlinuz'.length);
  });

  it('is not made where it can be loaded, and can be made again after that', async () => {
    const { view } = await taken(await archived());
    assert.deepEqual([view.rebuilt, started], [undefined, []]);
    await store.durable('came');
    const hub = new SnapshotHub(context, new Starts(context), join(scratch, 'no-keys'));
    const { bytes } = await hub.export('came', ownCall());
    const again = await IncomingSnapshot.open(bytes, {
      keyring: { trusted: new Map() },
      allowUnsigned: true,
    });
    assert.deepEqual(again.config.recipe, RECIPE);
    await bytes.return();
  });
});

async function read(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}
