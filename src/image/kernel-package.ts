/**
 * The kernel's package for an image that brings no kernel. What an earlier image was made with will do; without one it is fetched from
 * where this host gets Debian from, with lists of packages of our own, so that nothing of the host's apt is changed.
 */
import { copyFile, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryPath } from '../base/index.js';
import { debianSources } from './debian/apt-sources.js';
import { hostAptOptions } from './debian/rootfs.js';
import { ImageBuildFailed } from './errors.js';
import { runTool } from './host-tools.js';
import { KERNEL_PACKAGE } from './kernel.js';

const KERNEL_DEB = /^linux-image-.*-cloud-amd64_.*\.deb$/;

export interface KernelPackageInput {
  readonly codename: string;
  /** Packages of earlier builds; what is fetched is added. */
  readonly debsDir: string;
  readonly workDir: string;
  readonly signal?: AbortSignal | undefined;
}

/** The path of the newest kernel's package. */
export async function kernelPackage(input: KernelPackageInput): Promise<string> {
  await mkdir(input.debsDir, { recursive: true });
  const kept = await newestIn(input.debsDir);
  if (kept !== undefined) return kept;
  await download(input);
  const fetched = await newestIn(input.debsDir);
  if (fetched === undefined) throw new ImageBuildFailed(`Cannot import an image: apt-get fetched no kernel`);
  return fetched;
}

async function newestIn(debsDir: string): Promise<string | undefined> {
  const names = (await readdir(debsDir)).filter((name) => KERNEL_DEB.test(name));
  const newest = names.sort(new Intl.Collator('en', { numeric: true }).compare).at(-1);
  return newest && join(debsDir, newest);
}

async function download({ codename, debsDir, workDir, signal }: KernelPackageInput): Promise<void> {
  const apt = join(workDir, 'apt');
  await mkdir(join(apt, 'lists/partial'), { recursive: true });
  await mkdir(join(apt, 'archives/partial'), { recursive: true });
  await writeFile(join(apt, 'sources.list'), `${(await debianSources(codename)).join('\n')}\n`);
  const settings = [`Dir::State::lists "${apt}/lists";`, `Dir::Cache "${apt}";`];
  settings.push(`Dir::Etc::SourceList "${apt}/sources.list";`, 'Dir::Etc::SourceParts "-";');
  settings.push('APT::Sandbox::User "root";', ...(await hostAptOptions(signal)));
  await writeFile(join(apt, 'apt.conf'), settings.join('\n'));
  const env = { APT_CONFIG: join(apt, 'apt.conf') };
  await runTool('apt-get', ['-qq', 'update'], { what: "read Debian's list of packages", env, signal });
  const dependsArgs = ['depends', '--important', KERNEL_PACKAGE];
  const depends = await runTool('apt-cache', dependsArgs, { what: 'find the kernel', env, signal });
  const name = /^ *Depends: *(linux-image-\S+)$/m.exec(depends)?.[1] ?? KERNEL_PACKAGE;
  const what = `fetch the package ${name}`;
  // apt-get writes under the final name from the first byte on.
  const cwd = join(apt, 'fetched');
  await mkdir(cwd);
  await runTool('apt-get', ['-qq', 'download', name], { what, cwd, env, signal });
  for (const deb of await readdir(cwd)) {
    const whole = temporaryPath(join(debsDir, deb));
    await copyFile(join(cwd, deb), whole);
    await rename(whole, join(debsDir, deb));
  }
}
