/**
 * What a host leaves in its two folders and among the processes of this machine, as a list of lines.
 *
 * Equal lists before and after mean: no process, socket, temporary file, layer or staging folder is left. The
 * lock, the overlay templates, the secrets, the logs and the egress belong to the host itself, and whether a snapshot's hot copy is loaded is a
 * matter of caching.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, namesIn } from '../../src/base/index.js';
import { sandboxesDir } from '../../src/sandbox/entity/paths.js';
import { readRecord } from '../../src/sandbox/entity/record.js';
import { TEMPLATE_TAG, type TestFolders } from './test-host.js';

/** Sorted lines such as `hot: sandboxes/x/ram` and `process 4242 qemu-system-x86`. */
export async function inventory(
  { stateDir, hotDir }: TestFolders,
  cachedTags: readonly string[] = [TEMPLATE_TAG],
): Promise<string[]> {
  const state = (await pathsBelow(stateDir)).filter(
    (path) => !/^(lock|(egress|audit)\.log(\.\d+)?|overlays(\/.*)?|secrets\/.*)$/.test(path),
  );
  const hot = (await pathsBelow(hotDir)).filter(
    (path) =>
      !/^(lock|egress)$/.test(path) && !cachedTags.includes(/^snapshots\/([^/]+)/.exec(path)?.[1] ?? ''),
  );
  return [
    ...state.map((path) => `state: ${path}`),
    ...hot.map((path) => `hot: ${path}`),
    ...(await vmProcesses(hotDir)).map(({ pid, name }) => `process ${pid} ${name}`),
  ].sort();
}

/** The folders of sandboxes, by their ids: one that was rolled back has others than one that was not. */
export async function sandboxFolders({
  stateDir,
}: Pick<TestFolders, 'stateDir'>): Promise<Map<string, string>> {
  const root = sandboxesDir(stateDir);
  const found = new Map<string, string>();
  for (const folder of await namesIn(root)) {
    const record = await readRecord(join(root, folder, 'record.json')).catch(() => undefined);
    if (record !== undefined) found.set(record.id, `sandboxes/${folder}`);
  }
  return found;
}

/** What was added (`+ `) and what is missing (`- `). */
export function difference(before: readonly string[], after: readonly string[]): string[] {
  return [
    ...after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`),
    ...before.filter((line) => !after.includes(line)).map((line) => `- ${line}`),
  ];
}

/** A process of a sandbox, or of what is to be one; its folder in both tiers, such as `sandboxes/x`. */
export interface VmProcess {
  readonly pid: number;
  readonly name: string;
  readonly folder: string;
}

/** The processes of sandboxes below a hot dir. */
export async function vmProcesses(hotDir: string): Promise<VmProcess[]> {
  const found: VmProcess[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const commandLine = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
    const [, ownPath] = commandLine.split(`${hotDir}/sandboxes/`);
    if (ownPath === undefined) continue;
    const folder = `sandboxes/${/^[^/,]*/.exec(ownPath)?.[0] ?? ''}`;
    found.push({ pid: Number(entry), name: commandLine.split('\0')[0] ?? '', folder });
  }
  return found;
}

async function pathsBelow(root: string): Promise<string[]> {
  try {
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory() || entry.name.startsWith('.') || isOfOne(entry.parentPath))
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Folders count where each is one sandbox or snapshot. */
function isOfOne(parentPath: string): boolean {
  return /\/(sandboxes|snapshots)$/.test(parentPath);
}
