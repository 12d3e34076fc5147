import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { buildDefinition } from './build.js';
import { contentDigest, findImage, IMAGE_FILES, imageDir, listImages, wasBuilt } from './catalog.js';
import { CPIO_FILE, cpioArchive } from './cpio.js';
import { DEFAULT_GUEST_DIR, definitionNames, readDefinition, readDefinitionFile } from './definition.js';
import { ImageBuildFailed, ImageUnknown, ImageUnusable } from './errors.js';
import { bootSettings, type BootSettings } from './image.js';
import { recipeDigest } from './ingredients.js';
import { debianCodename } from './host-tools.js';
import { moduleInfo, modulesInOrder } from './kernel-modules.js';

async function scratchDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-image-'));
  t.after(() => rm(dir, { recursive: true }));
  return dir;
}

const HERE = { guestDir: DEFAULT_GUEST_DIR, filesDir: DEFAULT_GUEST_DIR };

const MINE = {
  ...{ name: 'mine', description: 'of mine', packages: ['python3'], interpreter: null },
  ...{ memoryMiB: 256, vcpus: 1, rootfsMiB: 1024 },
};

describe('readDefinition()', () => {
  it('takes every definition that comes with bough', async () => {
    const names = await definitionNames();
    const stock = ['code-interpreter', 'nodejs', 'postgres', 'python', 'python-numpy'];
    assert.deepEqual(names, ['browser', ...stock]);
    for (const name of names) {
      const definition = await readDefinition(name);
      assert.equal(definition.name, name);
      assert.match(await recipeDigest(definition, HERE), /^[0-9a-f]{64}$/);
    }
  });

  it('lists the known names for an unknown one, also one that looks like a path', async () => {
    for (const name of ['absent', '../agent/x', '']) {
      await assert.rejects(readDefinition(name), (error) => {
        assert(error instanceof ImageUnknown);
        assert.match(error.message, /known: browser, .*python-numpy$/);
        return true;
      });
    }
  });

  it('names the field that is wrong', async (t) => {
    const dir = await scratchDir(t);
    await mkdir(join(dir, 'images'));
    const definition = { ...(await readDefinition('nodejs')), name: 'mine', memoryMiB: 'much' };
    await writeFile(join(dir, 'images/mine.json'), JSON.stringify(definition));
    await assert.rejects(
      readDefinition('mine', dir),
      (error) => error instanceof ImageUnusable && error.message.includes('memoryMiB'),
    );
  });
});

describe('readDefinitionFile()', () => {
  it('takes one from anywhere, whatever its file is called', async (t) => {
    const path = join(await scratchDir(t), 'any.json');
    await writeFile(path, JSON.stringify(MINE));
    assert.equal((await readDefinitionFile(path)).name, 'mine');
  });

  it('refuses by name what is wrong with it', async (t) => {
    const path = join(await scratchDir(t), 'wrong.json');
    const service = { command: ['serve'], ports: [80] };
    for (const [words, wrong] of [
      ['name', { name: 'Mine' }],
      ['packages', { packages: ['--option'] }],
      ['vcpus', { vcpus: 0 }],
      ['rootfsMiB', { rootfsMiB: '2 GiB' }],
      ['interpreter', { interpreter: [] }],
      ['files', { files: { '/../etc/shadow': 'mine' } }],
      ['files', { files: { 'etc/motd': 'mine' } }],
      ['service.command', { service: { ...service, command: [] } }],
      ['service.ports', { service: { ...service, ports: [0] } }],
      ['"memory"', { memory: 512 }],
      ['service', { service: { ...service, user: 'me' } }],
    ] as const) {
      await writeFile(path, JSON.stringify({ ...MINE, ...wrong }));
      await assert.rejects(readDefinitionFile(path), (error) => {
        assert(error instanceof ImageUnusable);
        assert(error.message.includes(path) && error.message.includes(words), error.message);
        return true;
      });
    }
    await writeFile(path, '{');
    await assert.rejects(readDefinitionFile(path), /Cannot use the image definition .*JSON/);
    await assert.rejects(readDefinitionFile(`${path}x`), /Cannot read the image definition .*ENOENT/);
  });
});

describe('buildDefinition()', () => {
  const written = async (t: TestContext, more: object = {}) => {
    const dir = await scratchDir(t);
    const path = join(dir, 'any.json');
    await writeFile(path, JSON.stringify({ ...MINE, ...more }));
    return { dir, path };
  };

  it('finds again what it has made, with the settings that the file has now', async (t) => {
    const cacheDir = await scratchDir(t);
    const { dir, path } = await written(t, { files: { '/etc/motd': 'motd' } });
    await writeFile(join(dir, 'motd'), 'hello');
    const definition = await readDefinitionFile(path);
    const recipe = await recipeDigest(definition, { ...HERE, filesDir: dir });
    const planted = await plantImage(cacheDir, { name: 'mine', recipe, settings: bootSettings(definition) });
    assert.equal((await buildDefinition(cacheDir, path)).dir, planted);
    assert.equal((await findImage(cacheDir, 'mine'))?.memoryMiB, 256);
    const service = { command: ['serve'], ports: [80] };
    await writeFile(path, JSON.stringify({ ...definition, memoryMiB: 300, service }));
    const again = await buildDefinition(cacheDir, path);
    assert.deepEqual([again.dir, again.memoryMiB, again.service], [planted, 300, service]);
    assert.deepEqual(await findImage(cacheDir, 'mine'), again);
    assert.deepEqual(await listImages(cacheDir), [again]);
  });

  it('names the field whose file is not there', async (t) => {
    const cacheDir = await scratchDir(t);
    for (const [field, more] of [
      ['files./etc/motd', { files: { '/etc/motd': 'motd' } }],
      ['afterRestore', { afterRestore: 'hook.sh' }],
      ['interpreter', { interpreter: ['/usr/lib/bough/interpreters/perl.pl'] }],
    ] as const) {
      const { path } = await written(t, more);
      await assert.rejects(buildDefinition(cacheDir, path), (error) => {
        assert(error instanceof ImageUnusable);
        assert(error.message.includes(`"mine": ${field}: there is no /`), error.message);
        return true;
      });
    }
  });

  it('leaves to the checkout the names that it has', async (t) => {
    const { path } = await written(t, { name: 'nodejs' });
    const refused =
      /Cannot build an image as "nodejs": a definition has that name; choose another in .*any\.json/;
    await assert.rejects(buildDefinition(await scratchDir(t), path), refused);
  });
});

interface Planted {
  readonly name?: string;
  readonly recipe: string;
  readonly builtAtUnix?: number;
  readonly settings?: BootSettings;
}

/** A built image of that recipe, as a build leaves it; its folder. */
async function plantImage(
  cacheDir: string,
  { name = 'nodejs', recipe, builtAtUnix = 1, settings }: Planted,
): Promise<string> {
  const digest = createHash('sha256').update(`${name} ${recipe} ${builtAtUnix}`).digest('hex');
  const dir = imageDir(cacheDir, name, digest);
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, IMAGE_FILES.modules), 'modules ');
  const facts = { rootfsBytes: 1, agentPort: 1, kernelRelease: 'k', debianCodename: 'x' };
  await writeFile(
    join(dir, 'image.json'),
    JSON.stringify({ format: 2, name, recipe, digest, ...facts, builtAtUnix, settings }),
  );
  return dir;
}

async function guestCopy(t: TestContext): Promise<{ guestDir: string; cacheDir: string }> {
  const guestDir = join(await scratchDir(t), 'guest');
  await cp(DEFAULT_GUEST_DIR, guestDir, { recursive: true });
  return { guestDir, cacheDir: await scratchDir(t) };
}

describe('findImage()', () => {
  const recipeOf = async (guestDir: string, name = 'nodejs') =>
    recipeDigest(await readDefinition(name, guestDir), { guestDir, filesDir: guestDir });

  it('finds the newest of those that were built from the files as they are, and nothing else', async (t) => {
    const { guestDir, cacheDir } = await guestCopy(t);
    assert.equal(await findImage(cacheDir, 'nodejs', guestDir), undefined);
    const recipe = await recipeOf(guestDir);
    const newest = await plantImage(cacheDir, { recipe, builtAtUnix: 9 });
    await plantImage(cacheDir, { recipe, builtAtUnix: 8 });
    await plantImage(cacheDir, { recipe, name: 'nodejs-mine', builtAtUnix: 10 });
    await plantImage(cacheDir, { recipe: '0'.repeat(64), builtAtUnix: 11 });
    const image = await findImage(cacheDir, 'nodejs', guestDir);
    assert.equal(image?.rootfsPath, join(newest, 'rootfs.ext4'));
    assert.deepEqual(await listImages(cacheDir, guestDir), [image]);
    const archive = await readFile(image.initrdPath ?? '');
    for (const part of ['modules ', '0agent\0', '"port":10000']) assert(archive.includes(part), part);
  });

  it('takes an image for out of date when something it is made of has changed', async (t) => {
    const { guestDir, cacheDir } = await guestCopy(t);
    assert(!(await wasBuilt(cacheDir, 'nodejs')));
    for (const path of ['interpreters/node.mjs', 'build/rootfs-hook.sh']) {
      const before = await recipeOf(guestDir);
      await plantImage(cacheDir, { recipe: before });
      await appendFile(join(guestDir, path), '\n');
      assert.notEqual(await recipeOf(guestDir), before, path);
    }
    assert.equal(await findImage(cacheDir, 'nodejs', guestDir), undefined);
    assert(await wasBuilt(cacheDir, 'nodejs'));
  });

  it('does not when it was a file of another image, a note, or how much memory it is given', async (t) => {
    const { guestDir, cacheDir } = await guestCopy(t);
    const recipe = await recipeOf(guestDir);
    await plantImage(cacheDir, { recipe });
    await writeFile(join(guestDir, 'images/python-numpy.json'), '{}');
    await appendFile(join(guestDir, 'interpreters/python.py'), '\n');
    await writeFile(join(guestDir, 'notes.md'), 'read me');
    await mkdir(join(guestDir, 'interpreters/__pycache__'), { recursive: true });
    await writeFile(join(guestDir, 'interpreters/__pycache__/python.pyc'), 'x');
    await appendFile(join(guestDir, 'init/init.c'), '\n');
    const definition = await readDefinition('nodejs', guestDir);
    const changed = { ...definition, description: 'other', memoryMiB: 768, randomAddresses: true };
    await writeFile(join(guestDir, 'images/nodejs.json'), JSON.stringify(changed));
    const image = await findImage(cacheDir, 'nodejs', guestDir);
    assert.equal(image?.memoryMiB, 768);
    assert.equal(image.randomAddresses, true);
  });

  it('passes over an image of an earlier bough, and names one that is damaged', async (t) => {
    const { guestDir, cacheDir } = await guestCopy(t);
    const dir = await plantImage(cacheDir, { recipe: await recipeOf(guestDir) });
    await writeFile(
      join(dir, 'image.json'),
      JSON.stringify({ format: 1, name: 'nodejs', digest: 'c'.repeat(64) }),
    );
    assert.equal(await findImage(cacheDir, 'nodejs', guestDir), undefined);
    await writeFile(join(dir, 'image.json'), '{}');
    await assert.rejects(
      findImage(cacheDir, 'nodejs', guestDir),
      (error) => error instanceof ImageUnusable && error.message.includes(dir),
    );
    assert.deepEqual(await listImages(cacheDir, guestDir), []);
  });

  it('finds an image beside damaged ones, be they older or of a similar name', async (t) => {
    const { guestDir, cacheDir } = await guestCopy(t);
    const recipe = await recipeOf(guestDir);
    const good = await plantImage(cacheDir, { recipe, builtAtUnix: 9 });
    const damaged = [await plantImage(cacheDir, { recipe, builtAtUnix: 8 })];
    damaged.push(await plantImage(cacheDir, { recipe, name: 'nodejs-mine', builtAtUnix: 10 }));
    for (const dir of damaged) await writeFile(join(dir, 'image.json'), '{}');
    assert.equal((await findImage(cacheDir, 'nodejs', guestDir))?.dir, good);
    await rm(good, { recursive: true });
    await rm(damaged[0] ?? '', { recursive: true });
    assert.equal(await findImage(cacheDir, 'nodejs', guestDir), undefined);
  });
});

describe('contentDigest()', () => {
  it('tells two builds of one recipe apart by their bytes, and by nothing else', async (t) => {
    const made = async (rootfs: string): Promise<string> => {
      const dir = await scratchDir(t);
      for (const file of Object.values(IMAGE_FILES)) await writeFile(join(dir, file), file);
      await writeFile(join(dir, IMAGE_FILES.rootfs), rootfs);
      return contentDigest(dir);
    };
    const first = await made('packages of Monday');
    assert.equal(await made('packages of Monday'), first);
    assert.notEqual(await made('packages of Friday'), first);
  });
});

describe('cpioArchive()', () => {
  it('pads names and data to four bytes and ends with the trailer', () => {
    const archive = cpioArchive([{ path: 'init', mode: CPIO_FILE | 0o755, content: Buffer.from('hello') }]);
    assert.equal(archive.toString('latin1', 0, 14), '07070100000001');
    assert.equal(archive.toString('latin1', 14, 22), '000081ed');
    assert.equal(archive.toString('latin1', 110, 115), 'init\0');
    assert.equal(archive.toString('latin1', 116, 121), 'hello');
    assert.equal(archive.length % 4, 0);
    assert(archive.includes('TRAILER!!!\0'));
  });
});

describe('modulesInOrder()', () => {
  it('puts what a module depends on before it and leaves out what is built in', async (t) => {
    const dir = await scratchDir(t);
    await mkdir(join(dir, 'kernel/drivers'), { recursive: true });
    await writeFile(join(dir, 'modules.builtin'), 'kernel/fs/ext4/ext4.ko\n');
    const module = (name: string, info: string) =>
      writeFile(join(dir, 'kernel/drivers', `${name}.ko`), `\x7fELF\0${info}\0name=${name}\0`);
    await module('disk', 'depends=ring,bus');
    await module('bus-core', 'depends=ring');
    await module('bus', 'depends=bus_core,ext4');
    await module('ring', 'depends=\0softdep=pre: quick-sum absent post: late');
    await module('quick-sum', 'depends=');
    const names = async (...wanted: string[]) => (await modulesInOrder(dir, wanted)).map(({ name }) => name);
    assert.deepEqual(await names('disk', 'bus-core'), ['quick_sum', 'ring', 'bus_core', 'bus', 'disk']);
    await assert.rejects(names('nothing'), ImageBuildFailed);
  });

  it('reads a value at the very end of a module', () => {
    assert.deepEqual(moduleInfo(Buffer.from('x\0depends=a-b\0'), 'depends'), ['a_b']);
  });
});

describe('debianCodename()', () => {
  it('is undefined on anything but Debian', () => {
    assert.equal(debianCodename('NAME="Debian"\nVERSION_CODENAME=bookworm\nID=debian\n'), 'bookworm');
    assert.equal(debianCodename('ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n'), undefined);
  });
});
