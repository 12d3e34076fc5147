/**
 * The files of a branch, by the names at which the VMM reaches them that writes them.
 *
 * That is where the store has them, made for its user if it has one of its own. A VMM in namespaces of its own sees no folder of the store: it has links to
 * them in its sandbox's folders, until they are written.
 */
import { link, mkdir, open, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Draft } from '../../store/index.js';
import type { VmmUser } from '../../vmm/index.js';
import { layersDir } from './own-layers.js';
import type { SandboxPaths } from './paths.js';

/** Of a VM. */
interface Walled {
  readonly user?: VmmUser;
  readonly namespaced?: boolean;
}

type DraftFiles = Pick<Draft, 'id' | 'memoryPath' | 'vmstatePath' | 'durableMemoryPath' | 'tail' | 'lendTo'>;

/** As the pager is told them. */
export interface LentFiles {
  readonly layerPath: string;
  readonly statePath: string;
  readonly tailPath: string;
  /** Undefined where nothing durable is written. */
  readonly durableLayerPath: string | undefined;
}

/** Where such a VMM has links to what it is to write. */
export const lentDirs = ({ hotDir, stateDir }: SandboxPaths): string[] => [hotDir, stateDir].map(lentDir);
const lentDir = (folder: string): string => join(folder, 'lent');

/** Before its VMM starts: what comes later into other folders it does not see. */
export async function makeLentDirs(paths: SandboxPaths): Promise<void> {
  for (const folder of [...lentDirs(paths), layersDir(paths)])
    await mkdir(folder, { recursive: true, mode: 0o700 });
}

/** Lets the VMM write the draft's files, and only those; `isDurable` if it writes the layer twice. */
export async function lendFiles(
  { user, namespaced }: Walled,
  paths: SandboxPaths,
  draft: DraftFiles,
  { isDurable }: { readonly isDurable: boolean },
): Promise<LentFiles> {
  const durable = isDurable ? draft.durableMemoryPath : undefined;
  if (user !== undefined) await draft.lendTo(user);
  const nameOf = async (path: string, folder: string): Promise<string> =>
    namespaced === true ? linkedEmpty(path, join(lentDir(folder), lentName(draft, path))) : path;
  return {
    layerPath: await nameOf(draft.memoryPath, paths.hotDir),
    statePath: await nameOf(draft.vmstatePath, paths.hotDir),
    tailPath: await nameOf(draft.tail.path, paths.hotDir),
    durableLayerPath: durable && (await nameOf(durable, paths.stateDir)),
  };
}

/** Call it when they are written, whatever came of that. */
export async function takeBackFiles(
  { namespaced }: Walled,
  paths: SandboxPaths,
  { id }: Pick<Draft, 'id'>,
): Promise<void> {
  if (namespaced === true) await removeLent(paths, (name) => name.startsWith(`${id}-`));
}

/** What a daemon that is gone has lent. */
export const takeBackAll = (paths: SandboxPaths): Promise<void> => removeLent(paths, () => true);

const lentName = ({ id }: Pick<Draft, 'id'>, path: string): string => `${id}-${basename(path)}`;

async function removeLent(paths: SandboxPaths, isOver: (name: string) => boolean): Promise<void> {
  for (const folder of lentDirs(paths))
    for (const name of (await readdir(folder).catch(() => [])).filter(isOver))
      await rm(join(folder, name), { force: true });
}

async function linkedEmpty(path: string, name: string): Promise<string> {
  await (await open(path, 'wx', 0o600)).close();
  await link(path, name);
  return name;
}
