/**
 * Parts of a host that need no VM, over the store of store-world.ts: what a test interrupts, and what must hold afterwards.
 *
 * VMs and guests are stood in for: a VM writes its memory when it is captured, and a sandbox is a file with its record. `checkPart`
 * does as the next daemon does, and then what was interrupted again.
 */
import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PagerBranchRequest } from '../../src/pager/index.js';
import { archiveOf, IncomingSnapshot, packSnapshot } from '../../src/hub/index.js';
import { Admission } from '../../src/sandbox/start/admission.js';
import { adoptSandboxes } from '../../src/sandbox/adopt/adopt.js';
import { Collector } from '../../src/sandbox/upkeep/collector.js';
import type { HostContext } from '../../src/sandbox/host/context.js';
import { createSnapshot, type BootSteps } from '../../src/sandbox/start/create-snapshot.js';
import { importSnapshot } from '../../src/sandbox/start/import-snapshot.js';
import { SandboxEnds, type SandboxWithEnd } from '../../src/sandbox/upkeep/ends.js';
import { OverlayTemplates } from '../../src/sandbox/disk/overlays.js';
import { overlaysDir } from '../../src/sandbox/entity/paths.js';
import { Networks } from '../../src/sandbox/entity/networks.js';
import { Secrets } from '../../src/sandbox/entity/secrets.js';
import { SandboxRegistry } from '../../src/sandbox/entity/registry.js';
import type { Store } from '../../src/store/index.js';
import { Cgroups } from '../../src/vmm/index.js';
import { madeDisk, madeSnapshot } from '../support/made-snapshot.js';
import { FakeClock } from '../support/fake-clock.js';
import { snapshot, writePages } from '../support/store-fixture.js';
import { captureChild, checkContent, filesOfStore, openIn, type StoreDirs } from './store-world.js';

const PAGE_BYTES = 4096;
const LOST_SECS = 24 * 3600;
const BYSTANDERS = ['base', 'kept', 'victim'];

export interface Part {
  /** With the store open, before anything is armed. */
  readonly prepare?: (dirs: StoreDirs, context: HostContext) => Promise<unknown>;
  readonly run: (dirs: StoreDirs, context: HostContext) => Promise<unknown>;
  /** What must hold right after an interruption, in the same process or in the next. */
  readonly check?: (dirs: StoreDirs, store: Store) => Promise<void>;
  /** Once it was done, perhaps at the second try. */
  readonly done: (dirs: StoreDirs, store: Store) => Promise<void>;
}

export function contextOver(dirs: StoreDirs, store: Store): HostContext {
  return {
    tiers: dirs,
    cacheDir: join(dirs.stateDir, 'cache'),
    store,
    vmHost: {
      qemu: { qemuPath: '/none', version: '7.2.22', machineType: 'pc-i440fx-7.2', seccomp: true },
      ...{ pagerLibrary: '/none', gateLibrary: '/none' },
    },
    overlays: new OverlayTemplates(overlaysDir(dirs)),
    sandboxes: new SandboxRegistry(),
    networks: new Networks({
      ...{ tiers: dirs, presets: {}, emit: () => undefined },
      secrets: new Secrets('/none'),
    }),
    secrets: new Secrets('/none'),
    cgroups: new Cgroups('bough-host-parts'),
    admission: new Admission({ reserveBytes: 0 }),
    emit: () => undefined,
  };
}

const tags = (store: Store): string[] =>
  store
    .list()
    .filter(({ status }) => status === 'ready')
    .map(({ tag }) => tag)
    .sort();

const overlayBytes = 1 << 20;
const madeOverlay = ({ stateDir }: StoreDirs): string => join(stateDir, 'made-overlay.qcow2');

async function writeCapture(
  { layerPath, statePath, disk }: PagerBranchRequest,
  tail: string | Buffer,
): Promise<object> {
  const runs = await writePages(layerPath, { 0: 7, 3: 9 });
  await truncate(layerPath, 1 << 20);
  await writeFile(statePath, 'devices');
  await writeFile(disk?.tailPath ?? '', tail);
  return { runs, capturedBytes: 2 * PAGE_BYTES };
}

/** A VM that has booted before it started; its disk's tail is what is given. */
export const bootSteps = (tail: string | Buffer = 'tail'): BootSteps => ({
  chooseAccelerator: () => Promise.resolve({ accelerator: 'tcg', reason: 'no VM', cached: false }),
  claimGuest: () => Promise.resolve('secret'),
  startService: () => Promise.resolve(),
  freezeGuest: () => Promise.resolve(undefined),
  startVm: () =>
    Promise.resolve({
      agentAddress: { path: '/nowhere' },
      vmm: {
        exited: new Promise(() => undefined),
        kill: () => Promise.resolve(),
        qmp: { execute: () => Promise.resolve({}) },
      },
      pager: {
        close: () => Promise.resolve(),
        branch: (request: PagerBranchRequest) => {
          const done = writeCapture(request, tail);
          return { running: done.then(() => ({ pauseUs: 900 })), done };
        },
      },
    }) as unknown as ReturnType<BootSteps['startVm']>,
});

const archiveFile = ({ stateDir }: StoreDirs): string => join(stateDir, 'incoming.bough');

/** A snapshot of another host, as one file. */
async function writeArchive(dirs: StoreDirs): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-made-'));
  try {
    const layout = await packSnapshot(await madeSnapshot(dir), join(dir, 'layout'));
    await writeFile(archiveFile(dirs), archiveOf(layout));
  } finally {
    await rm(dir, { recursive: true });
  }
}

const sandboxFile = ({ stateDir }: StoreDirs): string => join(stateDir, 'ending-sandbox.json');

/** The sandbox whose end has come, as its file tells; none if that is gone. */
async function mortal(dirs: StoreDirs): Promise<SandboxWithEnd | undefined> {
  const text = await readFile(sandboxFile(dirs), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const record = JSON.parse(text) as { endTag?: string | undefined };
  return {
    id: 'ending',
    state: 'running',
    isBranching: false,
    isRollingBack: false,
    isBeingRemoved: false,
    isHalfRemoved: false,
    lifetime: { warning: undefined, due: () => 'its time is over' } as unknown as SandboxWithEnd['lifetime'],
    record: Object.assign(record, { lifetime: { onEnd: 'snapshot' as const } }),
    noteEnd: async (tag) => {
      record.endTag = tag;
      await writeFile(sandboxFile(dirs), JSON.stringify({ endTag: tag }));
    },
  };
}

/** One daemon's sweep. */
async function endWhatIsDue(dirs: StoreDirs, { store }: HostContext): Promise<void> {
  const sandbox = await mortal(dirs);
  const ends = new SandboxEnds<SandboxWithEnd>(
    {
      sandboxes: () => (sandbox === undefined ? [] : [sandbox]),
      remove: () => rm(sandboxFile(dirs)),
      chooseTag: () => 'new',
      isCaptured: (_sandbox, tag) => tags(store).includes(tag),
      capture: (_sandbox, tag) => captureChild(dirs, store, tag),
      durable: (tag) => store.durable(tag),
      removeSnapshot: (tag) => store.remove(tag),
    },
    () => undefined,
    new FakeClock(),
  );
  ends.sweep();
  await ends.settled();
}

/** The daemon has been there for a day. */
async function collect(context: HostContext): Promise<void> {
  const clock = new FakeClock();
  clock.step(Date.now() / 1000 - clock.unixSecs);
  const collector = new Collector(context, clock);
  await collector.run({ dryRun: true });
  clock.pass(LOST_SECS);
  await collector.run({ dryRun: false });
}

export const PARTS: Readonly<Record<string, Part>> = {
  overlay: {
    run: (dirs, { overlays }) => overlays.create(madeOverlay(dirs), overlayBytes),
    done: async (dirs) => {
      assert.equal((await readFile(madeOverlay(dirs))).subarray(0, 3).toString(), 'QFI');
      assert.deepEqual(await readdir(overlaysDir(dirs)), [`${overlayBytes}-16384.qcow2`]);
      await rm(madeOverlay(dirs));
    },
  },
  create: {
    prepare: async ({ stateDir }) => {
      await writeFile(join(stateDir, 'kernel'), 'kernel');
      await writeFile(join(stateDir, 'rootfs'), 'rootfs');
    },
    run: async ({ stateDir }, context) => {
      const [kernel, rootfs] = [join(stateDir, 'kernel'), join(stateDir, 'rootfs')];
      if (tags(context.store).includes('flat')) return;
      await createSnapshot(
        context,
        { tag: 'flat', image: { kernel, rootfs }, memoryMiB: 1 },
        {},
        bootSteps(),
      );
    },
    done: async (dirs, store) => {
      await store.durable('flat');
      const at = join(dirs.stateDir, 'sandboxes', 'check');
      using lease = await store.acquire('flat', 'sandbox check');
      const { disks, layers } = await lease.linkInto(join(dirs.hotDir, 'sandboxes', 'check'), at);
      assert.deepEqual(await Promise.all(disks.map(({ path }) => readFile(path, 'utf8'))), [
        'rootfs',
        'tail',
      ]);
      assert.deepEqual(
        layers.map(({ runs }) => runs),
        [
          [
            [0, PAGE_BYTES],
            [3 * PAGE_BYTES, PAGE_BYTES],
          ],
        ],
      );
      for (const { stateDir: root } of [dirs, { stateDir: dirs.hotDir }])
        await rm(join(root, 'sandboxes', 'check'), { recursive: true });
      for (const name of ['kernel', 'rootfs']) await rm(join(dirs.stateDir, name));
    },
  },
  import: {
    prepare: writeArchive,
    run: async (dirs, context) => {
      if (tags(context.store).includes('taken-in')) return;
      const bytes = createReadStream(archiveFile(dirs)) as AsyncIterable<Buffer>;
      const trust = { keyring: { trusted: new Map() }, allowUnsigned: true };
      const incoming = await IncomingSnapshot.open(bytes, trust);
      const identifyChild = (): Promise<string> => Promise.resolve('fresh secret');
      await importSnapshot(context, incoming, { tag: 'taken-in' }, { ...bootSteps(), identifyChild });
    },
    done: async (dirs, store) => {
      await store.durable('taken-in');
      using lease = await store.acquire('taken-in', 'sandbox check');
      assert.equal(lease.manifest.agent.secret, 'fresh secret');
      assert.equal(lease.manifest.layers.length, 3);
      const folder = join(dirs.stateDir, 'snapshots', 'taken-in');
      const base = lease.manifest.disks[0]?.file ?? '';
      assert.deepEqual(await readFile(join(folder, base)), madeDisk());
      await rm(archiveFile(dirs));
    },
  },
  expire: {
    prepare: (dirs) => writeFile(sandboxFile(dirs), '{}'),
    run: endWhatIsDue,
    check: async (dirs, store) => {
      // It runs on, or its last snapshot would survive it.
      if ((await mortal(dirs)) === undefined) assert(store.get('new').durable);
    },
    done: async (dirs, store) => {
      assert.equal(await mortal(dirs), undefined);
      assert(store.get('new').durable);
      await checkContent(dirs, store, 'new');
    },
  },
  collect: {
    prepare: async ({ stateDir, hotDir }, { store }) => {
      const expiresAtUnix = Math.ceil(Date.now() / 1000) + 60;
      for (const tag of ['old', 'older']) {
        await snapshot(store, { tag, retention: { expiresAtUnix } });
        await store.durable(tag);
      }
      await mkdir(join(stateDir, 'snapshots', '.deleted-long-ago'));
      await mkdir(join(hotDir, 'sandboxes', 'stray'), { recursive: true });
    },
    run: (_dirs, context) => collect(context),
    done: async ({ stateDir, hotDir }, store) => {
      assert.deepEqual(tags(store), BYSTANDERS);
      assert(!(await readdir(join(stateDir, 'snapshots'))).includes('.deleted-long-ago'));
      assert.deepEqual(await readdir(join(hotDir, 'sandboxes')), []);
    },
  },
};

/** In the process that was interrupted, or in the next one: nothing is damaged, and it can be done again. */
export async function checkOpenPart(dirs: StoreDirs, context: HostContext, name: string): Promise<void> {
  const { check, run, done } = PARTS[name] ?? {};
  const { store } = context;
  for (const { tag, status } of store.list()) {
    assert.equal(status, 'ready', `"${tag}" is ${status}`);
    await store.durable(tag);
  }
  for (const tag of BYSTANDERS) await checkContent(dirs, store, tag);
  await check?.(dirs, store);
  await run?.(dirs, context);
  await done?.(dirs, store);
}

/** As the next daemon does; afterwards everything is deleted, and nothing may be left. */
export async function checkPart(dirs: StoreDirs, name: string, isDone: boolean): Promise<void> {
  const store = await openIn(dirs);
  try {
    const context = contextOver(dirs, store);
    await adoptSandboxes(context);
    if (!isDone) await checkOpenPart(dirs, context, name);
    for (const { tag } of store.list()) await store.remove(tag, { force: true });
    const ofParts = /\/overlays\/\d+-16384\.qcow2$/;
    assert.deepEqual(
      (await filesOfStore(dirs)).filter((path) => !ofParts.test(path)),
      [],
      'files remain after everything was deleted',
    );
    for (const root of [dirs.stateDir, dirs.hotDir])
      assert.deepEqual(await readdir(join(root, 'sandboxes')).catch(() => []), []);
  } finally {
    await store.close();
  }
}
