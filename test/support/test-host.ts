/**
 * A real host for tests, with a warm template to start from: image and snapshot are made once per machine.
 *
 * Both live in a folder outside the checkout, keyed by what they are made of, so a second run starts in seconds. The
 * store there is locked by whoever uses it: test files that need it run one at a time.
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { compact } from '../../src/base/index.js';
import { loadConfig, type WantedIsolation } from '../../src/daemon/config.js';
import { buildImage, findImage, kernelCmdline, type Image } from '../../src/image/index.js';
import type { LocalHost } from '../../src/sandbox/host/local-host.js';
import { openHost } from '../../src/sandbox/host/open-host.js';
import { MANIFEST_VERSION } from '../../src/store/index.js';
import { DEVICE_LAYOUT, probeQemu, type WantedAccelerator } from '../../src/vmm/index.js';

export const TEMPLATE_TAG = 'python-numpy';

/** The folders of a host, as `openHost` and `bough serve` take them. */
export interface TestFolders {
  readonly stateDir: string;
  readonly hotDir: string;
  readonly cacheDir: string;
  /** The daemon's BOUGH_QEMU, so that a tier of tests can run with another QEMU. */
  readonly qemuPath?: string;
  /** The daemon's BOUGH_ACCELERATOR. */
  readonly accelerator?: WantedAccelerator;
  /** The daemon's BOUGH_ISOLATION, so that a tier of tests can run with walls. */
  readonly isolation?: WantedIsolation;
}

/** As the daemon would take it; absent, Debian's own. */
export const {
  qemuPath: TEST_QEMU_PATH,
  accelerator: TEST_ACCELERATOR,
  isolation: TEST_ISOLATION,
} = loadConfig({}, process.env);
const chosen = compact({
  qemuPath: TEST_QEMU_PATH,
  accelerator: TEST_ACCELERATOR,
  isolation: TEST_ISOLATION,
});

/** Builds the image unless it is there. */
export async function testImage(name = 'python-numpy'): Promise<Image> {
  const { cacheDir } = loadConfig({}, process.env);
  const known = await findImage(cacheDir, name);
  return known ?? buildImage(cacheDir, name, { onProgress: (words) => process.stderr.write(`${words}\n`) });
}

/** The shared folders in which the template is kept. */
export async function sharedFolders(): Promise<TestFolders> {
  const { cacheDir } = loadConfig({}, process.env);
  const image = await testImage();
  const { version } = await probeQemu(TEST_QEMU_PATH);
  const { digest, initrdPath = '', memoryMiB } = image;
  const booted = [
    digest,
    basename(initrdPath),
    kernelCmdline('tcg', image),
    ...(TEST_ACCELERATOR === 'auto' ? [] : [TEST_ACCELERATOR]),
    memoryMiB,
    version,
    DEVICE_LAYOUT,
    MANIFEST_VERSION,
  ];
  const key = digestOf(JSON.stringify(booted));
  const stateDir = join(await testsFolder(cacheDir), key);
  return { cacheDir, stateDir, hotDir: `/dev/shm/bough-test-${digestOf(stateDir)}`, ...chosen };
}

/** Gives the template's memory back; what is on disk stays for the next run. No host may be open. */
export async function forgetHotTemplate(): Promise<void> {
  const { hotDir } = await sharedFolders();
  await rm(hotDir, { recursive: true, force: true });
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);

/** Opens the shared host and makes the template unless it is there. Nothing of an earlier, crashed test is left in it. */
export async function openTestHost(): Promise<LocalHost> {
  const folders = await sharedFolders();
  const host = await openHost({ ...folders, maxConcurrentBranches: 4, emit: () => undefined });
  for (const { id } of await host.listSandboxes()) await host.removeSandbox(id);
  for (const { tag } of await host.listSnapshots()) {
    if (tag !== TEMPLATE_TAG) await host.deleteSnapshot(tag, { cascade: false, force: true });
  }
  const known = await host.listSnapshots();
  if (known.length === 0) await host.createSnapshot({ tag: TEMPLATE_TAG, image: 'python-numpy' });
  return host;
}

/** Where state folders are: VMMs with a user of their own may pass. */
async function testsFolder(cacheDir: string): Promise<string> {
  const folder = join(cacheDir, 'test');
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o711);
  return folder;
}

/** Folders for one test file's own host, without a template. */
export async function emptyFolders(name: string): Promise<TestFolders & { remove: () => Promise<void> }> {
  const { cacheDir } = loadConfig({}, process.env);
  const stateDir = join(await testsFolder(cacheDir), `own-${name}-${process.pid}`);
  const hotDir = `/dev/shm/bough-t-${name}-${process.pid}`;
  const remove = async (): Promise<void> => {
    await rm(stateDir, { recursive: true, force: true });
    await rm(hotDir, { recursive: true, force: true });
  };
  await remove();
  return { cacheDir, stateDir, hotDir, ...chosen, remove };
}
