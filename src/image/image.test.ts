import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { findImage, imageDigest, imageDir, listImages } from './catalog.js';
import { CPIO_FILE, cpioArchive } from './cpio.js';
import { DEFAULT_GUEST_DIR, definitionNames, readDefinition } from './definition.js';
import { ImageBuildFailed, ImageUnknown, ImageUnusable } from './errors.js';
import { debianCodename } from './host-tools.js';
import { moduleInfo, modulesInOrder } from './kernel-modules.js';

async function scratchDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-image-'));
  t.after(() => rm(dir, { recursive: true }));
  return dir;
}

describe('readDefinition()', () => {
  it('takes every definition that comes with bough', async () => {
    const names = await definitionNames();
    assert.deepEqual(names, ['nodejs', 'python-numpy']);
    for (const name of names) assert.equal((await readDefinition(name)).name, name);
  });

  it('lists the known names for an unknown one, also one that looks like a path', async () => {
    for (const name of ['absent', '../agent/x', '']) {
      await assert.rejects(readDefinition(name), (error) => {
        assert(error instanceof ImageUnknown);
        assert.match(error.message, /known: nodejs, python-numpy$/);
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

describe('findImage()', () => {
  it('finds what was built from the files as they are, and nothing else', async (t) => {
    const guestDir = join(await scratchDir(t), 'guest');
    const cacheDir = await scratchDir(t);
    await cp(DEFAULT_GUEST_DIR, guestDir, { recursive: true });
    assert.equal(await findImage(cacheDir, 'nodejs', guestDir), undefined);

    const digest = await imageDigest(await readDefinition('nodejs', guestDir), guestDir);
    const dir = imageDir(cacheDir, 'nodejs', digest);
    await mkdir(dir, { recursive: true });
    const facts = {
      format: 1,
      name: 'nodejs',
      digest,
      description: 'd',
      rootfsBytes: 1,
      memoryMiB: 512,
      vcpus: 1,
    };
    const more = {
      agentPort: 1,
      kernelCmdline: 'c',
      kernelRelease: 'k',
      debianCodename: 'x',
      builtAtUnix: 1,
    };
    await writeFile(join(dir, 'image.json'), JSON.stringify({ ...facts, ...more }));
    const image = await findImage(cacheDir, 'nodejs', guestDir);
    assert.equal(image?.rootfsPath, join(dir, 'rootfs.ext4'));
    assert.deepEqual(await listImages(cacheDir, guestDir), [image]);

    await writeFile(join(guestDir, 'images/python-numpy.json'), '{}');
    assert.deepEqual(await findImage(cacheDir, 'nodejs', guestDir), image);
    await writeFile(join(guestDir, 'agent/frames.py'), '# changed');
    assert.equal(await findImage(cacheDir, 'nodejs', guestDir), undefined);
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
