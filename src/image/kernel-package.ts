/**
 * The package of the guests' kernel, fetched from where this host gets Debian from, with lists of packages of our own, so that nothing of the
 * host's apt is changed.
 *
 * It is Debian 13's, whatever the rest of a guest is of: Debian 12's does not know a VM's generation id, by which a kernel reseeds when it
 * finds itself copied. Where the host's mirror does not have that release it is the host's own.
 */
import { copyFile, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { temporaryPath } from '../base/index.js';
import { sourcesOfRelease } from './debian/apt-sources.js';
import { hostAptOptions } from './debian/rootfs.js';
import { ImageBuildFailed } from './errors.js';
import { runTool } from './host-tools.js';
import type { Progress } from './workshop.js';

/** Small, made for virtual machines, with every virtio driver as a module. */
const KERNEL_PACKAGE = 'linux-image-cloud-amd64';
const KERNEL_DEB = /^linux-image-.*-cloud-amd64_.*\.deb$/;

export interface KernelPackageInput {
  /** The host's release. */
  readonly codename: string;
  /** Packages of earlier builds; what is fetched is added, in a folder of its release. */
  readonly debsDir: string;
  readonly workDir: string;
  /** Asks for a newer one; otherwise one that an earlier image was made with will do. */
  readonly refresh: boolean;
  readonly onProgress: Progress;
  /** As /etc/apt, for tests. */
  readonly aptDir?: string;
  readonly signal?: AbortSignal | undefined;
}

/** The path of the newest kernel's package. */
export async function kernelPackage(input: KernelPackageInput): Promise<string> {
  const { codename, onProgress, signal } = input;
  if (codename !== 'bookworm') return packageOf(codename, input);
  try {
    return await packageOf('trixie', input);
  } catch (error) {
    if (!(error instanceof ImageBuildFailed) || signal?.aborted === true) throw error;
    onProgress(`Taking the kernel of Debian ${codename}: ${error.message}`);
    return packageOf(codename, input);
  }
}

async function packageOf(release: string, input: KernelPackageInput): Promise<string> {
  const { debsDir, codename, refresh, onProgress, signal } = input;
  const dir = join(debsDir, release);
  await mkdir(dir, { recursive: true });
  const kept = await newestIn(dir);
  if (kept !== undefined && !refresh) return kept;
  try {
    await download(release, dir, input);
  } catch (error) {
    // Earlier versions left those of the host's release a folder above.
    const old = kept ?? (release === codename ? await newestIn(debsDir) : undefined);
    if (old === undefined || !(error instanceof ImageBuildFailed) || signal?.aborted === true) throw error;
    onProgress(`Taking the kernel ${basename(old)} of before: ${error.message}`);
    return old;
  }
  const fetched = await newestIn(dir);
  if (fetched === undefined) throw new ImageBuildFailed('Cannot build an image: apt-get fetched no kernel');
  return fetched;
}

async function newestIn(dir: string): Promise<string | undefined> {
  const names = (await readdir(dir)).filter((name) => KERNEL_DEB.test(name));
  const newest = names.sort(new Intl.Collator('en', { numeric: true }).compare).at(-1);
  return newest && join(dir, newest);
}

/** The lists of packages stay, so that the next asks for what has changed of them. */
async function download(
  release: string,
  dir: string,
  { codename, workDir, aptDir, signal }: KernelPackageInput,
): Promise<void> {
  const apt = join(workDir, `apt-${release}`);
  const lists = join(dir, 'lists');
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(apt, 'archives/partial'), { recursive: true });
  const sources = await sourcesOfRelease(release, codename, aptDir);
  await writeFile(join(apt, 'sources.list'), `${sources.join('\n')}\n`);
  const settings = [`Dir::State::lists "${lists}";`, `Dir::Cache "${apt}";`];
  settings.push(`Dir::Etc::SourceList "${apt}/sources.list";`, 'Dir::Etc::SourceParts "-";');
  settings.push('Acquire::GzipIndexes "true";', 'APT::Update::Error-Mode "any";');
  settings.push('APT::Sandbox::User "root";', ...(await hostAptOptions(signal)));
  await writeFile(join(apt, 'apt.conf'), settings.join('\n'));
  const env = { APT_CONFIG: join(apt, 'apt.conf') };
  const what = `read the list of packages of Debian ${release}`;
  await runTool('apt-get', ['-qq', 'update'], { what, env, signal });
  const dependsArgs = ['depends', '--important', KERNEL_PACKAGE];
  const depends = await runTool('apt-cache', dependsArgs, { what: 'find the kernel', env, signal });
  const name = /^ *Depends: *(linux-image-\S+)$/m.exec(depends)?.[1] ?? KERNEL_PACKAGE;
  // apt-get writes under the final name from the first byte on.
  const cwd = join(apt, 'fetched');
  await mkdir(cwd);
  for (const deb of await readdir(dir))
    if (deb.startsWith(`${name}_`)) await copyFile(join(dir, deb), join(cwd, deb));
  await runTool('apt-get', ['-qq', 'download', name], {
    what: `fetch the package ${name}`,
    cwd,
    env,
    signal,
  });
  for (const deb of await readdir(cwd)) {
    const whole = temporaryPath(join(dir, deb));
    await copyFile(join(cwd, deb), whole);
    await rename(whole, join(dir, deb));
  }
}
