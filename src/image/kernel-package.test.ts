/** Whose kernel guests get: apt, and an archive that is made for the test. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { execa } from 'execa';
import { kernelPackage } from './kernel-package.js';

interface Archive {
  readonly dir: string;
  /** What a host has in /etc/apt that gets Debian 12 from it. */
  readonly aptDir: string;
}

/** An archive that has nothing yet. */
async function makeArchive(t: TestContext): Promise<Archive> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-archive-'));
  t.after(() => rm(dir, { recursive: true }));
  const aptDir = join(dir, 'etc');
  await mkdir(aptDir);
  await writeFile(join(aptDir, 'sources.list'), `deb [trusted=yes] file:${dir} bookworm main\n`);
  return { dir, aptDir };
}

/** A release with a kernel of this version, and the package that stands for the newest. */
async function addRelease({ dir }: Archive, release: string, version: string): Promise<void> {
  const name = `linux-image-${version}-cloud-amd64`;
  const stanzas = [
    await addPackage(dir, { name: 'linux-image-cloud-amd64', version, depends: name }),
    await addPackage(dir, { name, version }),
  ];
  const lists = join(dir, 'dists', release);
  const path = 'main/binary-amd64/Packages';
  await mkdir(join(lists, 'main/binary-amd64'), { recursive: true });
  const packages = stanzas.join('\n');
  await writeFile(join(lists, path), packages);
  const sum = `${sha256(packages)} ${packages.length} ${path}`;
  const fields = [`Suite: ${release}`, `Codename: ${release}`, 'Architectures: amd64', 'Components: main'];
  await writeFile(join(lists, 'Release'), [...fields, 'SHA256:', ` ${sum}`, ''].join('\n'));
}

interface Package {
  readonly name: string;
  readonly version: string;
  readonly depends?: string;
}

/** Returns what an archive's list says of it. */
async function addPackage(dir: string, { name, version, depends }: Package): Promise<string> {
  const fields = [`Package: ${name}`, `Version: ${version}`, 'Architecture: amd64', 'Maintainer: a test'];
  const control = [...fields, 'Description: none', ...(depends === undefined ? [] : [`Depends: ${depends}`])];
  const tree = join(dir, 'tree');
  await mkdir(join(tree, 'DEBIAN'), { recursive: true });
  await writeFile(join(tree, 'DEBIAN/control'), `${control.join('\n')}\n`);
  const deb = `${name}_${version}_amd64.deb`;
  await execa('dpkg-deb', ['--build', '--root-owner-group', tree, join(dir, deb)]);
  const content = await readFile(join(dir, deb));
  const found = [`Filename: ${deb}`, `Size: ${content.length}`, `SHA256: ${sha256(content)}`];
  return `${[...control, ...found].join('\n')}\n`;
}

const sha256 = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');

/** Names of the package that is taken and of what is said meanwhile. */
async function taken(
  { dir, aptDir }: Archive,
  { codename = 'bookworm', refresh = true } = {},
): Promise<{ deb: string; said: string[] }> {
  const said: string[] = [];
  const workDir = await mkdtemp(join(dir, 'work-'));
  const onProgress = (step: string): unknown => said.push(step);
  const debsDir = join(dir, 'debs');
  const path = await kernelPackage({ codename, debsDir, workDir, refresh, onProgress, aptDir });
  return { deb: basename(path), said };
}

const debOf = (version: string): string => `linux-image-${version}-cloud-amd64_${version}_amd64.deb`;

it('takes the kernel of Debian 13 for a Debian 12, and a newer one when it is asked to look', async (t) => {
  const archive = await makeArchive(t);
  await addRelease(archive, 'bookworm', '6.1.1');
  await addRelease(archive, 'trixie', '6.12.9');
  assert.deepEqual(await taken(archive), { deb: debOf('6.12.9'), said: [] });

  await addRelease(archive, 'trixie', '6.12.10');
  assert.equal((await taken(archive, { refresh: false })).deb, debOf('6.12.9'));
  assert.equal((await taken(archive)).deb, debOf('6.12.10'));
  assert.deepEqual(
    (await readdir(join(archive.dir, 'debs/trixie'))).sort(),
    ['lists', ...['6.12.10', '6.12.9'].map(debOf)].sort(),
  );
});

it('takes the kernel of the host where the archive has no Debian 13, and says so', async (t) => {
  const archive = await makeArchive(t);
  await addRelease(archive, 'bookworm', '6.1.1');
  const { deb, said } = await taken(archive);
  assert.equal(deb, debOf('6.1.1'));
  assert.match(said.join(), /^Taking the kernel of Debian bookworm: .*trixie/s);
});

it('takes what was fetched before where nothing can be fetched, the newer release first', async (t) => {
  const archive = await makeArchive(t);
  const debsDir = join(archive.dir, 'debs');
  await mkdir(debsDir);
  await writeFile(join(debsDir, debOf('6.1.0')), 'of an earlier version');
  const before = await taken(archive);
  assert.equal(before.deb, debOf('6.1.0'));
  assert.match(before.said.join(), /Taking the kernel linux-image-6\.1\.0/);

  await addRelease(archive, 'trixie', '6.12.9');
  await taken(archive);
  await rm(join(archive.dir, 'dists'), { recursive: true });
  assert.equal((await taken(archive)).deb, debOf('6.12.9'));
});
