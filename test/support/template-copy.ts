/**
 * A store of a test's own with the warm template in it, made in a moment: the template's files are linked
 * from the shared store, which nobody needs to open for that.
 *
 * Files of a snapshot are never written to again, so two stores may have the same ones.
 */
import assert from 'node:assert/strict';
import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { sleep } from '../../src/base/index.js';
import { emptyFolders, openTestHost, sharedFolders, TEMPLATE_TAG, type TestFolders } from './test-host.js';
import { limitMs } from './time-limit.js';

const DURABLE_POLL_MS = 100;
const DURABLE_POLLS = limitMs(60_000) / DURABLE_POLL_MS;

/** Empty folders of a test file's own; `remove` deletes them. */
export type OwnFolders = TestFolders & { remove: () => Promise<void> };

/** Folders in which a host finds the template, durable and not loaded. */
export async function foldersWithTemplate(name: string): Promise<OwnFolders> {
  const folders = await emptyFolders(name);
  await plantTemplate(folders.stateDir, 'linked');
  return folders;
}

/**
 * Puts the template into a state dir that no host has open; `copied` where that is on another file system.
 */
export async function plantTemplate(stateDir: string, how: 'linked' | 'copied'): Promise<void> {
  const template = await durableTemplate();
  await mkdir(join(stateDir, 'snapshots'), { recursive: true, mode: 0o700 });
  const flags = how === 'linked' ? ['-al'] : ['-a', '--sparse=always'];
  await execa('cp', [...flags, template, join(stateDir, 'snapshots')]);
}

/** The template's folder in the shared store, which is opened only where the template is not durable yet. */
export async function durableTemplate(): Promise<string> {
  const { stateDir } = await sharedFolders();
  const folder = join(stateDir, 'snapshots', TEMPLATE_TAG);
  if (await exists(folder)) return folder;
  const host = await openTestHost();
  try {
    for (let poll = 0; poll < DURABLE_POLLS && !(await exists(folder)); poll++) await sleep(DURABLE_POLL_MS);
  } finally {
    await host.close();
  }
  assert(await exists(folder), `the template is not durable after ${DURABLE_POLLS * DURABLE_POLL_MS} ms`);
  return folder;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
