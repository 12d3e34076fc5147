/** The root file system: a tree of files written into an ext4 file by mke2fs. Nothing is mounted and no loop device is used. */
import { runTool } from './host-tools.js';

export interface Ext4Input {
  readonly rootDir: string;
  readonly path: string;
  readonly rootfsMiB: number;
  /** Hex digest to derive the file system's UUID and directory hash seed from, so that they do not differ between builds. */
  readonly recipe: string;
  readonly signal?: AbortSignal | undefined;
}

/** Writes the tree into a sparse ext4 file. Nothing is left to initialize later: an idle guest must not write. */
export async function makeExt4({ rootDir, path, rootfsMiB, recipe, signal }: Ext4Input): Promise<void> {
  const id = recipe.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
  const args = ['-q', '-t', 'ext4', '-b', '4096', '-m', '0', '-L', 'bough', '-U', id, '-J', 'size=16'];
  args.push('-E', `lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,hash_seed=${id}`);
  args.push('-d', rootDir, path, `${rootfsMiB}M`);
  await runTool('mke2fs', args, { what: 'write the root file system', signal });
}
