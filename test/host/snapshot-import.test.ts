/** A snapshot leaves one store and comes into another: what is refused leaves nothing, what is there already is shared. No VM. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { ChannelAddress } from '../../src/agent/index.js';
import { BoughError } from '../../src/contract/index.js';
import { archiveOf, IncomingSnapshot, packSnapshot } from '../../src/hub/index.js';
import { SnapshotHub } from '../../src/sandbox/host/snapshot-hub.js';
import type { HostContext } from '../../src/sandbox/host/context.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import { catalogued } from '../../src/sandbox/host/failures.js';
import { importSnapshot } from '../../src/sandbox/start/import-snapshot.js';
import { Starts } from '../../src/sandbox/start/starts.js';
import { NoSpace, openStore, type SnapshotView, type Store } from '../../src/store/index.js';
import { bootSteps, contextOver } from '../faults/host-parts.js';
import { openIn, type StoreDirs } from '../faults/store-world.js';
import { WorldCopies } from '../faults/world-copies.js';
import { forged } from '../support/archive-forge.js';
import { madeDisk, madeQcow2, madeSnapshot, type Made } from '../support/made-snapshot.js';

const TRUST = { keyring: { trusted: new Map() }, allowUnsigned: true };

describe('a snapshot from another host', () => {
  let copies: WorldCopies;
  let dirs: StoreDirs;
  let store: Store;
  let context: HostContext;
  let scratch: string;

  before(async () => {
    copies = await WorldCopies.open();
    scratch = await mkdtemp(join(tmpdir(), 'bough-import-'));
  });
  beforeEach(async () => {
    dirs = await copies.make();
    store = await openIn(dirs);
    context = contextOver(dirs, store);
  });
  afterEach(async () => {
    await store.close();
    await copies.clean();
  });
  after(async () => {
    await copies.close();
    await rm(scratch, { recursive: true });
  });

  const archived = async (made: Made = {}): Promise<Buffer> => {
    const source = await madeSnapshot(await mkdtemp(join(scratch, 'made-')), made);
    return read(archiveOf(await packSnapshot(source, await mkdtemp(join(scratch, 'layout-')))));
  };
  const takeIn = (
    archive: Buffer,
    tag?: string,
    over = context,
    steps = bootSteps(madeQcow2()),
  ): Promise<SnapshotView> =>
    catalogued({ operation: 'import' }, async () => {
      const incoming = await IncomingSnapshot.open(inTwo(archive), TRUST);
      const identifyChild = (_agent: ChannelAddress, known: string): Promise<string> => {
        assert.equal(known, 'known elsewhere');
        return Promise.resolve('only here');
      };
      return importSnapshot(over, incoming, { tag }, { ...steps, identifyChild });
    });
  const names = async (): Promise<string[]> => {
    const folders = [dirs.stateDir, dirs.hotDir].map((root) => join(root, 'snapshots'));
    const sandboxes = [dirs.stateDir, dirs.hotDir].map((root) => join(root, 'sandboxes'));
    const found = [...folders, ...sandboxes].map((folder) => readdir(folder).catch(() => []));
    return (await Promise.all(found)).flat().sort();
  };
  const refusedWith = async (code: string, work: Promise<unknown>, words: RegExp): Promise<void> => {
    const before = store.list().map(({ tag }) => tag);
    await assert.rejects(work, (error: unknown) => {
      assert(error instanceof BoughError, String(error));
      assert.equal(error.code, code);
      assert.match(error.message, words);
      return true;
    });
    assert.deepEqual(
      store.list().map(({ tag }) => tag),
      before,
    );
    assert.deepEqual(
      (await names()).filter((name) => name.startsWith('.') || /^[a-z0-9]{16}$/.test(name)),
      [],
    );
  };

  it('is one of this host, with a secret that nobody else knows, and no ancestor or policy', async () => {
    const view = await takeIn(await archived());
    assert.deepEqual(
      [view.tag, view.status, view.parentTag, view.branchedFrom],
      ['made', 'ready', undefined, undefined],
    );
    await store.durable('made');
    using lease = await store.acquire('made', 'sandbox check');
    const { agent, network, layers, disks } = lease.manifest;
    assert.deepEqual([agent.secret, network], ['only here', undefined]);
    assert.deepEqual([layers.length, disks.length], [3, 3]);
    assert.match(layers[0]?.id ?? '', /^memory-[0-9a-f]{64}$/);
    assert.match(disks[0]?.id ?? '', /^base-[0-9a-f]{32}$/);
    assert.deepEqual(await readFile(join(dirs.stateDir, 'snapshots/made', disks[0]?.file ?? '')), madeDisk());
    assert.equal((await readFile(lease.layers[0]?.path ?? ''))[5 * 4096], 2);
  });

  it('is given to its VMM in the folders of that alone, which may have walls', async () => {
    const steps = bootSteps(madeQcow2());
    const elsewhere: string[] = [];
    let given = 0;
    const startVm: typeof steps.startVm = (host, request) => {
      const { layers, disks, paths } = request;
      const all = [...layers, ...disks].map(({ path }) => path);
      given = all.length;
      elsewhere.push(...all.filter((path) => !path.includes(`/sandboxes/${paths.id}/`)));
      return steps.startVm(host, request);
    };
    await takeIn(await archived(), undefined, context, { ...steps, startVm });
    assert.deepEqual([given, elsewhere], [4, []]);
  });

  it('shares what is here already, on disk and in memory', async () => {
    await takeIn(await archived());
    await store.durable('made');
    await takeIn(await archived(), 'again');
    await store.durable('again');
    using one = await store.acquire('made', 'sandbox check');
    using other = await store.acquire('again', 'sandbox check');
    const inode = async (path = ''): Promise<number> => (await stat(path)).ino;
    assert.equal(await inode(one.layers[0]?.path), await inode(other.layers[0]?.path));
    const disk = (tag: string): string =>
      join(dirs.stateDir, 'snapshots', tag, one.manifest.disks[0]?.file ?? '');
    assert.equal(await inode(disk('made')), await inode(disk('again')));
  });

  it('is refused by name where it cannot be loaded, before a byte of it is written', async () => {
    const archive = await archived();
    for (const [field, config] of [
      ['QEMU version', { 'machine.qemuVersion': '9.1.0' }],
      ['machine type', { 'machine.machineType': 'q35' }],
      ['CPU model', { 'machine.cpuModel': 'host' }],
      ['device layout', { 'machine.deviceLayout': 9 }],
    ] as const)
      await refusedWith('snapshot_incompatible', takeIn(forged(archive, { config })), new RegExp(field));
    await refusedWith(
      'bad_snapshot_archive',
      takeIn(forged(archive, { config: { 'machine.memoryMiB': 2 } })),
      /not as large as its RAM/,
    );
  });

  it('is refused under a tag that exists, and where there is no room', async () => {
    const archive = await archived();
    await refusedWith('tag_exists', takeIn(archive, 'base'), /exists already/);
    const huge = forged(archive, { config: { 'disks.0.bytes': 2 ** 50, 'disks.0.runs': [[0, 2 ** 44]] } });
    await refusedWith('bad_snapshot_archive', takeIn(huge), /chunks/);
    await store.close();
    store = await openStore({ ...dirs, diskQuotaBytes: 1 });
    await refusedWith('no_space', takeIn(archive, 'new', contextOver(dirs, store)), /cannot hold it/);
  });

  it('is refused where its memory is not what it says, and leaves nothing when it is cut off', async () => {
    const archive = await archived();
    const lying = forged(archive, { config: { 'memory.0.sha256': '0'.repeat(64) } });
    await refusedWith('bad_snapshot_archive', takeIn(lying), /memory layer does not match/);
    await refusedWith('bad_snapshot_archive', takeIn(archive.subarray(0, -2048)), /ends within/);
    assert.equal((await takeIn(archive)).status, 'ready');
  });

  it('leaves this host as it is here, and comes back', async () => {
    await takeIn(await archived());
    const hub = new SnapshotHub(context, new Starts(context), join(scratch, 'no-keys'));
    const { sizeBytes, bytes, signedBy } = await hub.export('made', ownCall());
    const archive = await read(bytes);
    assert.deepEqual([archive.length, signedBy], [sizeBytes, undefined]);
    assert.deepEqual(await readdir(join(dirs.stateDir, 'hub')), []);
    const { config } = await IncomingSnapshot.open(inTwo(archive), TRUST);
    assert.deepEqual([config.tag, config.memory.length, config.disks.length], ['made', 3, 3]);
    assert.equal(config.agent.secret, 'only here');
    await refusedWith(
      'snapshot_untrusted',
      hub.import({ allowUnsigned: false, bytes: inTwo(archive) }, ownCall()),
      /nobody has signed it/,
    );
  });

  it('leaves nothing behind where others were promised the room that it would take on its way out', async (t) => {
    await takeIn(await archived());
    const hub = new SnapshotHub(context, new Starts(context), join(scratch, 'no-keys'));
    const check = t.mock.method(store, 'checkRoom', () => Promise.reject(new NoSpace('durable', 512, 0)));
    await refusedWith('no_space', hub.export('made', ownCall()), /512 bytes/);
    for (const root of [dirs.stateDir, dirs.hotDir]) assert.deepEqual(await readdir(join(root, 'hub')), []);
    check.mock.restore();
    const { bytes } = await hub.export('made', ownCall());
    assert((await read(bytes)).length > 0);
  });

  it('is not left half packed by who does not read it', async () => {
    await takeIn(await archived());
    const hub = new SnapshotHub(context, new Starts(context), join(scratch, 'no-keys'));
    const { bytes } = await hub.export('made', ownCall());
    await bytes.return();
    assert.deepEqual(await readdir(join(dirs.stateDir, 'hub')), []);
    assert.deepEqual(await readdir(join(dirs.hotDir, 'hub')), []);
    await assert.rejects(hub.export('nothing', ownCall()), { code: 'snapshot_not_found' });
  });
});

async function read(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* inTwo(bytes: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(bytes.subarray(0, bytes.length >> 1));
  yield bytes.subarray(bytes.length >> 1);
}
