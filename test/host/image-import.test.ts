/** What images from elsewhere hold comes out right, from wherever they are; who lies is refused and leaves nothing. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  access,
  appendFile,
  chmod,
  chown,
  cp,
  link,
  mkdir,
  readdir,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import {
  findImage,
  importImage,
  listImages,
  pruneImages,
  removeImage,
  type Image,
} from '../../src/image/index.js';
import { fakeRegistry } from '../support/fake-registry.js';
import { imageFolders, imageLab, onDisk, refused, skipImport } from '../support/image-lab.js';
import { DOCKER_TYPES, tarMembers, tarOf, writeLayout, type TarMember } from '../support/oci-image.js';
import { madeArchive } from '../support/made-snapshot.js';
import { startRegistry, type Registry } from '../support/registry.js';

const skip = await skipImport();

/** A layout of one small file, at `<dir>/<name>`. */
async function smallLayout(dir: string, name = 'layout', architecture?: string): Promise<string> {
  const layout = join(dir, name);
  const layer = tarMembers([{ path: 'hello', type: '0', content: 'hello\n' }]);
  await writeLayout(layout, { layers: [layer], ...(architecture && { architecture }) });
  return layout;
}

describe('importImage(): what is in an image', { skip, timeout: 240_000 }, () => {
  it('keeps owners, modes, links, attributes, devices and names, and what layers take away', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const [lower, upper] = [join(dir, 'lower'), join(dir, 'upper')];
    await mkdir(join(lower, 'closed'), { recursive: true });
    await mkdir(join(lower, 'emptied'));
    await mkdir(join(upper, 'emptied'), { recursive: true });
    await mkdir(join(upper, 'closed'));
    const file = (at: string, content = 'x'): Promise<void> => writeFile(join(lower, at), content);
    for (const name of ['owned', 'setuid', 'capable', 'linked', 'gone', 'emptied/old', 'odd \n"näme*'])
      await file(name);
    await writeFile(join(lower, 'n'.repeat(200)), 'x');
    await chown(join(lower, 'owned'), 1_000_000, 2_000_000);
    await chmod(join(lower, 'setuid'), 0o6755);
    await link(join(lower, 'linked'), join(lower, 'twin'));
    await symlink('/etc/passwd', join(lower, 'pointer'));
    const setAttribute = 'import os, sys; os.setxattr(sys.argv[1], "user.bough", b"kept")';
    await execa('python3', ['-c', setAttribute, join(lower, 'owned')]);
    await execa('setcap', ['cap_net_raw=ep', join(lower, 'capable')]);
    await execa('mknod', [join(lower, 'null'), 'c', '1', '3']);
    await execa('mkfifo', [join(lower, 'pipe')]);
    await writeFile(join(upper, '.wh.gone'), '');
    await writeFile(join(upper, '.wh.absent'), '');
    await writeFile(join(upper, 'emptied/.wh..wh..opq'), '');
    await writeFile(join(upper, 'emptied/new'), 'x');
    await writeFile(join(upper, 'closed/later'), 'x');
    await chmod(join(lower, 'closed'), 0o555);
    await chmod(join(upper, 'closed'), 0o555);
    const layout = join(dir, 'layout');
    await writeLayout(layout, { layers: [await tarOf(lower), await tarOf(upper)] });

    const image = await importImage(cacheDir, layout);
    const stat = (path: string): Promise<string> => onDisk(image, `stat "/${path}"`);
    assert.match(await stat('owned'), /User: 1000000 {3}Group: 2000000/);
    assert.match(await stat('owned'), /user\.bough \(4\) = "kept"/);
    assert.match(await stat('setuid'), /Mode: {2}06755/);
    assert.match(await stat('capable'), /security\.capability \(20\)/);
    assert.match(await stat('linked'), /Links: 2/);
    const inode = (text: string): string | undefined => /Inode: (\d+)/.exec(text)?.[1];
    assert.equal(inode(await stat('linked')), inode(await stat('twin')));
    assert.match(await stat('null'), /Type: character special[^]*Device major\/minor number: 01:03/);
    assert.match(await stat('pipe'), /Type: FIFO/);
    assert.match(await stat('pointer'), /Fast link dest: "\/etc\/passwd"/);
    assert.match(await stat('closed'), /Mode: {2}0555/);
    assert.match(await stat('closed/later'), /Type: regular/);
    const names = await onDisk(image, 'ls -p /');
    for (const name of ['odd \n"näme*', 'n'.repeat(200)]) assert(names.includes(`/${name}/`), name);
    for (const name of ['gone', '.wh.gone', 'absent']) assert(!names.includes(`/${name}/`), name);
    const emptied = await onDisk(image, 'ls -p /emptied');
    assert(emptied.includes('/new/') && !emptied.includes('/old/'), emptied);
  });

  it('takes what an image says of its programs, and is called by its content', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const config = {
      ...{ User: 'app:staff', Env: ['A=1=2', 'PATH=/app'], WorkingDir: '/srv', Entrypoint: ['/run'] },
      ...{ Cmd: ['now'], ExposedPorts: { '5432/tcp': {}, '53/udp': {}, '80': {} } },
      Healthcheck: { Test: ['CMD-SHELL', 'true'] },
    };
    const layers = [tarMembers([{ path: 'hello', type: '0' }])];
    await writeLayout(join(dir, 'app'), { layers, config });
    const image = await importImage(cacheDir, `${dir}/app`);
    assert.deepEqual(image.origin?.defaults, {
      ...{ user: 'app:staff', env: { PATH: '/app', A: '1=2' }, cwd: '/srv', command: ['/run', 'now'] },
      ...{ ports: [80, 5432], healthcheck: ['/bin/sh', '-c', 'true'] },
    });
    assert.equal((await findImage(cacheDir, 'app'))?.digest, image.digest);
    assert.deepEqual(
      (await listImages(cacheDir)).map(({ name }) => name),
      ['app'],
    );
    assert.deepEqual(await importImage(cacheDir, `${dir}/app`), image);
    assert.equal((await imageFolders(cacheDir)).length, 1);
  });
});

describe('removeImage() and pruneImages()', { skip, timeout: 120_000 }, () => {
  it('find the newest of several that were made in one second, however their folders are called', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    t.mock.method(Date, 'now', () => 1_800_000_000_000);
    for (const content of ['one', 'two', 'three', 'four']) {
      const layers = [tarMembers([{ path: 'hello', type: '0', content }])];
      await writeLayout(join(dir, content), { layers });
      const image = await importImage(cacheDir, join(dir, content), { name: 'app' });
      assert.equal(image.origin?.reference, join(dir, content));
    }
    assert.equal((await pruneImages(cacheDir)).length, 3);
  });

  it('remove what is named, and what no name finds', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const made = async (content: string): Promise<Image> => {
      const layers = [tarMembers([{ path: 'hello', type: '0', content }])];
      await writeLayout(join(dir, content), { layers });
      return importImage(cacheDir, join(dir, content), { name: 'app' });
    };
    const earlier = await made('one');
    const later = await made('two');
    assert.notEqual(earlier.dir, later.dir);
    assert.deepEqual(await pruneImages(cacheDir), [basename(earlier.dir)]);
    assert.equal((await findImage(cacheDir, 'app'))?.digest, later.digest);
    await writeFile(join(later.dir, 'image.json'), '{');
    assert.deepEqual(await pruneImages(cacheDir), [basename(later.dir)]);
    await made('two');
    await removeImage(cacheDir, 'app');
    assert.deepEqual(await imageFolders(cacheDir), []);
    await assert.rejects(removeImage(cacheDir, 'app'), /There is no image/);
  });
});

describe('importImage(): where images are', { skip, timeout: 240_000 }, () => {
  let open: Registry;
  let closed: Registry;
  // The password is "sesame".
  const htpasswd = 'bough:$2b$04$oRNSGbXdvFxaNV3FN99FiOK6Lfa4ZV0dEvrI4JGcEklCdQlBxWZkO';
  before(async () => {
    open = await startRegistry();
    closed = await startRegistry({ htpasswd });
  });
  after(async () => {
    await open.close();
    await closed.close();
  });

  it('refuses a snapshot that travels, and says what takes it in', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const path = join(dir, 'base.bough');
    await writeFile(path, await madeArchive(dir));
    await refused(importImage(cacheDir, path), cacheDir, /it is a snapshot, which `bough import` takes/);
  });

  it('imports from a registry, and by digest', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const reference = await open.push(`oci:${await smallLayout(dir)}:latest`, 'tools/hello:1.0');
    const image = await importImage(cacheDir, reference);
    assert.equal(image.name, 'hello-1-0');
    assert.match(await onDisk(image, 'cat /hello'), /^hello$/m);
    const digest = image.origin?.digest ?? '';
    const again = await importImage(cacheDir, `${open.address}/tools/hello@${digest}`, { name: 'again' });
    assert.equal(again.origin?.digest, digest);
  });

  it('imports with the password that docker login wrote, and says so without', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const layout = `oci:${await smallLayout(dir)}:latest`;
    const reference = await closed.push(layout, 'hello:latest', 'bough:sesame');
    await refused(importImage(cacheDir, reference), cacheDir, /unauthorized|authentication required/);
    const authFile = join(dir, 'config.json');
    const write = (login: string): Promise<void> => {
      const auth = Buffer.from(login).toString('base64');
      return writeFile(authFile, JSON.stringify({ auths: { [closed.address]: { auth } } }));
    };
    await write('bough:guessed');
    await refused(
      importImage(cacheDir, reference, { authFile }),
      cacheDir,
      /unauthorized|authentication required/,
    );
    await write('bough:sesame');
    assert.equal((await importImage(cacheDir, reference, { authFile })).name, 'hello');
  });

  it('imports what docker save, skopeo and OCI tools write, told apart by what is in it', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const layout = await smallLayout(dir);
    const kinds = {
      'docker-archive': `${dir}/saved.tar`,
      'oci-archive': `${dir}/packed.tar`,
      dir: `${dir}/plain`,
    };
    for (const [kind, path] of Object.entries(kinds)) {
      await execa('skopeo', ['copy', '-q', `oci:${layout}:latest`, `${kind}:${path}`]);
      const image = await importImage(cacheDir, path);
      assert.match(await onDisk(image, 'cat /hello'), /^hello$/m, kind);
      assert.equal(image.origin?.reference, path);
    }
    for (const path of [kinds['docker-archive'], kinds['oci-archive']]) {
      await execa('gzip', [path]);
      const image = await importImage(cacheDir, `${path}.gz`, { name: 'compressed' });
      assert.match(await onDisk(image, 'cat /hello'), /^hello$/m, path);
    }
    assert.deepEqual(
      (await listImages(cacheDir)).map(({ name }) => name),
      ['compressed', 'packed', 'plain', 'saved'],
    );
  });

  it("keeps the health check of an image in Docker's form", async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const layout = join(dir, 'layout');
    const config = { Healthcheck: { Test: ['CMD', '/ask', 'well'] } };
    const layers = [tarMembers([{ path: 'hello', type: '0' }])];
    await writeLayout(layout, { layers, config, types: DOCKER_TYPES });
    const registry = await fakeRegistry(layout);
    t.after(() => registry.close());
    const image = await importImage(cacheDir, registry.reference);
    assert.deepEqual(image.origin?.defaults.healthcheck, ['/ask', 'well']);
  });

  it('names what it cannot use: no image, another platform, a name that is taken', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    await refused(importImage(cacheDir, `${dir}/absent`), cacheDir, /there is no such file/);
    await refused(importImage(cacheDir, dir), cacheDir, /neither oci-layout nor manifest\.json/);
    const arm = await smallLayout(dir, 'arm', 'arm64');
    await refused(importImage(cacheDir, arm), cacheDir, /arm64/);
    await refused(importImage(cacheDir, arm, { name: 'nodejs' }), cacheDir, /a definition has that name/);
    await refused(importImage(cacheDir, arm, { name: '../x' }), cacheDir, /choose another with --as/);
    await refused(importImage(cacheDir, `${open.address}/absent:1`), cacheDir, /manifest unknown/);
    await refused(importImage(cacheDir, '127.0.0.1:1/absent:1'), cacheDir, /connection refused/);
    await refused(
      importImage(cacheDir, '--help'),
      cacheDir,
      /choose another with --as|fetch docker:\/\/--help/,
    );
  });
});

describe('importImage(): what must not be', { skip, timeout: 240_000 }, () => {
  const outside: Record<string, TarMember[]> = {
    'a name with ..': [{ path: '../../../../../../../../tmp/bough-escaped', type: '0', content: 'x' }],
    'an absolute name': [{ path: '/tmp/bough-escaped', type: '0', content: 'x' }],
    'a link, and a write through it': [
      { path: 'way', type: '2', link: '/tmp' },
      { path: 'way/bough-escaped', type: '0', content: 'x' },
    ],
  };
  for (const [what, members] of Object.entries(outside)) {
    it(`writes nothing outside for ${what}`, async (t) => {
      const { dir, cacheDir } = await imageLab(t);
      await writeLayout(join(dir, 'layout'), { layers: [tarMembers(members)] });
      const image = await importImage(cacheDir, join(dir, 'layout'));
      await assert.rejects(access('/tmp/bough-escaped'));
      assert.match(await onDisk(image, 'ls -p /'), /\/(tmp|way)\//);
    });
  }

  it('refuses a hard link to a file of the host, and the removal of a folder above', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const secret = join(dir, 'secret');
    await writeFile(secret, 'of the host');
    const up = '../'.repeat(12);
    const hostile: TarMember[][] = [
      [{ path: 'stolen', type: '1', link: secret }],
      [{ path: 'stolen', type: '1', link: `${up}${secret}` }],
      [{ path: '.wh...', type: '0' }],
    ];
    for (const [n, members] of hostile.entries()) {
      const layout = join(dir, `layout-${n}`);
      await writeLayout(layout, { layers: [tarMembers(members)] });
      await refused(importImage(cacheDir, layout), cacheDir, /Cannot unpack the layers/);
    }
    await access(secret);
  });

  it('refuses bytes that are not those of their digest', async (t) => {
    const { dir } = await imageLab(t);
    const layout = await smallLayout(dir);
    for (const name of await readdir(join(layout, 'blobs/sha256'))) {
      const copy = join(dir, `copy-${name.slice(0, 12)}`);
      await cp(layout, copy, { recursive: true });
      await appendFile(join(copy, 'blobs/sha256', name), ' ');
      // A cache of its own: what an earlier try brought right is not brought again.
      const { cacheDir } = await imageLab(t);
      await refused(importImage(cacheDir, copy), cacheDir, /[Dd]igest|does not match/);
    }
  });

  it('refuses a layer that is not what the configuration says', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const other = tarMembers([{ path: 'other', type: '0' }]);
    const layout = join(dir, 'layout');
    await writeLayout(layout, { layers: [tarMembers([{ path: 'one', type: '0' }])], diffIdsOf: [other] });
    await refused(importImage(cacheDir, layout), cacheDir, /diff.?id|digest/i);
  });

  it('keeps an unpacked image away from other users', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const layout = await smallLayout(dir);
    let seen = '';
    const onProgress = (step: string): void => {
      if (!step.startsWith('Making')) return;
      const args = [join(cacheDir, 'images'), '-name', 'closed', '-perm', '0700'];
      seen = spawnSync('find', args, { encoding: 'utf8' }).stdout;
    };
    await importImage(cacheDir, layout, { onProgress });
    assert.match(seen, /\/closed\n$/);
  });
});

const IMPORT = new URL('../../src/image/index.js', import.meta.url).href;

describe('importImage(): what breaks off', { skip, timeout: 240_000 }, () => {
  for (const step of ['Fetching', 'Unpacking', 'Making', 'Writing']) {
    it(`leaves nothing listed when it is killed at "${step}", and the next try completes`, async (t) => {
      const { dir, cacheDir } = await imageLab(t);
      const layout = join(dir, 'layout');
      const content = 'x'.repeat(8 << 20);
      await writeLayout(layout, { layers: [tarMembers([{ path: 'big', type: '0', content }])] });
      const script = `const { importImage } = await import(${JSON.stringify(IMPORT)});
        await importImage(...${JSON.stringify([cacheDir, layout])}, { onProgress: (step) => console.log(step) });`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      for await (const text of child.stdout) if (String(text).includes(step)) break;
      child.kill('SIGKILL');
      if (child.signalCode === null && child.exitCode === null) await once(child, 'exit');
      assert.deepEqual(await listImages(cacheDir), []);
      const image = await importImage(cacheDir, layout);
      assert.match(await onDisk(image, 'stat /big'), /Size: 8388608/);
      assert.deepEqual(await imageFolders(cacheDir), [image.dir.split('/').at(-1)]);
      await assert.rejects(access(join(cacheDir, 'fetched')));
    });
  }
});
