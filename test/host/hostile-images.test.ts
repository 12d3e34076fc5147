/** Images and registries that lie, have no end or say nothing: each is refused by name, within bounds, and leaves nothing. */
import assert from 'node:assert/strict';
import { access, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { execa } from 'execa';
import { MiB } from '../../src/base/index.js';
import { importImage } from '../../src/image/index.js';
import { fakeRegistry, type FakeRegistry, type LayerAnswer } from '../support/fake-registry.js';
import { imageLab, refused, skipImport, type ImageLab } from '../support/image-lab.js';
import { putBlob, sha256, tarMembers, writeLayout } from '../support/oci-image.js';
import { mountTmpfs } from '../support/tmpfs.js';

const skip = await skipImport();

const HELLO = tarMembers([{ path: 'hello', type: '0', content: 'hello\n'.repeat(20_000) }]);

/** A lab whose cache lies on a file system of its own. */
async function smallLab(t: TestContext, sizeMiB: number): Promise<ImageLab> {
  const lab = await imageLab(t);
  const cacheDir = `${lab.dir}-small`;
  t.after(await mountTmpfs(cacheDir, sizeMiB));
  return { ...lab, cacheDir };
}

/** Gives an edited tar header its checksum. */
function seal(archive: Buffer): void {
  archive.write('        ', 148);
  const sum = archive.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  archive.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
}

/** Rewrites a document of a layout, and what leads to it, so that every digest is right. */
async function editManifest(layout: string, edit: (manifest: { layers: { size: number }[] }) => void) {
  const indexPath = join(layout, 'index.json');
  const index = JSON.parse(await readFile(indexPath, 'utf8')) as { manifests: { digest: string }[] };
  const [listed] = index.manifests;
  const path = join(layout, 'blobs/sha256', listed?.digest.slice('sha256:'.length) ?? '');
  const manifest = JSON.parse(await readFile(path, 'utf8')) as { layers: { size: number }[] };
  edit(manifest);
  Object.assign(listed ?? {}, await putBlob(layout, Buffer.from(JSON.stringify(manifest))));
  await writeFile(indexPath, JSON.stringify(index));
}

describe('an image that has no end', { skip, timeout: 120_000 }, () => {
  it('is given up while there is room: layers that unpack to more than the host has', async (t) => {
    const { dir, cacheDir } = await smallLab(t, 256);
    const header = tarMembers([{ path: 'zeros', type: '0' }]).subarray(0, 512);
    header.write('77777777777\0', 124); // 8 GiB, less a byte
    seal(header);
    const zeros = gzipSync(Buffer.alloc(16 * MiB));
    const bomb = Buffer.concat([gzipSync(header), ...Array.from({ length: 512 }, () => zeros)]);
    const layout = join(dir, 'bomb');
    await writeLayout(layout, { layers: [HELLO], packed: [bomb] });
    assert(bomb.length < 16 * MiB, `${bomb.length} bytes`);
    // What is written between two looks may be all the room there is.
    await refused(
      importImage(cacheDir, layout),
      cacheDir,
      /too little room left for it|no space left on device/,
    );
  });

  it('is told from one that finds no room at all', async (t) => {
    const { dir, cacheDir } = await smallLab(t, 4);
    await writeLayout(join(dir, 'layout'), { layers: [HELLO] });
    await refused(
      importImage(cacheDir, join(dir, 'layout')),
      cacheDir,
      /no room left|too little room|no space left/,
    );
  });

  it('is given up: more files than the file system has inodes', async (t) => {
    const { dir, cacheDir } = await smallLab(t, 256);
    await execa('mount', ['-o', 'remount,nr_inodes=2000', cacheDir]);
    const members = Array.from({ length: 20_000 }, (_, n) => ({ path: `f${n}`, type: '0' as const }));
    await writeLayout(join(dir, 'many'), { layers: [tarMembers(members)] });
    await refused(
      importImage(cacheDir, join(dir, 'many')),
      cacheDir,
      /too little inodes left|no space left on device/,
    );
  });
});

describe('a tar archive that is none', { skip, timeout: 120_000 }, () => {
  const flipped = Buffer.from(HELLO);
  flipped.write('0000000', 148);
  const negative = Buffer.from(HELLO);
  negative.fill(0xff, 124, 136);
  seal(negative);
  const bad = { 'a wrong checksum': flipped, 'a negative size': negative, 'no end': HELLO.subarray(0, 4096) };
  for (const [what, layer] of Object.entries(bad)) {
    it(`is refused: ${what}`, async (t) => {
      const { dir, cacheDir } = await imageLab(t);
      await writeLayout(join(dir, 'layout'), { layers: [layer] });
      await refused(importImage(cacheDir, join(dir, 'layout')), cacheDir, /Cannot unpack the layers/);
    });
  }

  it('stays inside for a name that an extended header gives', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const record = 'path=../../../../../../../../tmp/bough-escaped\n';
    const content = `${record.length + 3} ${record}`;
    const members = [
      { path: 'PaxHeaders/x', type: 'x', content },
      { path: 'x', type: '0', content: 'x' },
    ] as const;
    await writeLayout(join(dir, 'layout'), { layers: [tarMembers(members)] });
    await importImage(cacheDir, join(dir, 'layout'));
    await assert.rejects(access('/tmp/bough-escaped'));
  });
});

describe('a layout that lies', { skip, timeout: 120_000 }, () => {
  it('is refused when a size is wrong and every digest right', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const layout = join(dir, 'layout');
    await writeLayout(layout, { layers: [HELLO] });
    await editManifest(layout, ({ layers: [layer] }) => (layer ? layer.size++ : 0));
    await refused(importImage(cacheDir, layout), cacheDir, /does not match|size/i);
  });

  it('is refused in an archive too', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const layout = join(dir, 'layout');
    await writeLayout(layout, { layers: [HELLO] });
    const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as {
      manifests: [{ digest: string }];
    };
    const path = join(layout, 'blobs/sha256', index.manifests[0].digest.slice('sha256:'.length));
    await writeFile(path, `${await readFile(path, 'utf8')} `);
    const archive = join(dir, 'archive.tar');
    await execa('tar', ['-cf', archive, '-C', layout, '.']);
    await refused(importImage(cacheDir, archive), cacheDir, /does not match/);
    await execa('tar', ['-cf', archive, '-C', layout, 'oci-layout', 'blobs', 'index.json', 'index.json']);
    await execa('tar', ['-rf', archive, '-C', layout, 'index.json']);
    await refused(importImage(cacheDir, archive), cacheDir, /damaged|does not match/);
  });
});

describe('a registry that lies', { skip, timeout: 120_000 }, () => {
  const open = async (t: TestContext, dir: string): Promise<FakeRegistry> => {
    const layout = join(dir, 'served');
    await writeLayout(layout, { layers: [HELLO] });
    const registry = await fakeRegistry(layout);
    t.after(() => registry.close());
    return registry;
  };
  const other = gzipSync(tarMembers([{ path: 'other', type: '0' }]));
  const lies: Record<string, { answer: LayerAnswer; says: RegExp }> = {
    'gives other bytes': { answer: (response) => response.end(other), says: /[Dd]igest/ },
    'breaks off': {
      answer(response, honest) {
        response.writeHead(200, { 'content-length': honest.length });
        response.write(honest.subarray(0, honest.length / 2), () => response.destroy());
      },
      says: /unexpected EOF|connection reset/,
    },
    'says nothing more': {
      answer(response, honest) {
        response.writeHead(200, { 'content-length': honest.length });
        response.write(honest.subarray(0, honest.length / 2));
      },
      says: /nothing has come for 3 s/,
    },
  };
  for (const [what, { answer, says }] of Object.entries(lies)) {
    it(`is refused when it ${what}, and the next try completes`, async (t) => {
      const { dir, cacheDir } = await imageLab(t);
      const registry = await open(t, dir);
      registry.layer = answer;
      await refused(importImage(cacheDir, registry.reference, { stallMs: 3000 }), cacheDir, says);
      registry.layer = undefined;
      assert.equal((await importImage(cacheDir, registry.reference)).name, 'image');
    });
  }

  it('is refused when it sends the client elsewhere for other bytes', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const registry = await open(t, dir);
    const asked: string[] = [];
    const elsewhere = createServer((request, response) => {
      asked.push(request.headers.authorization ?? 'no password');
      response.end('secret of another service');
    }).listen(0, '127.0.0.1');
    await once(elsewhere, 'listening');
    t.after(() => elsewhere.close());
    const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/latest/meta-data`;
    registry.layer = (response) => response.writeHead(307, { location }).end();
    const importing = importImage(cacheDir, registry.reference).catch((error: unknown) => {
      assert.doesNotMatch(String(error), /secret of another/);
      throw error;
    });
    await refused(importing, cacheDir, /[Dd]igest/);
    assert(asked.length > 0 && asked.every((each) => each === 'no password'));
  });

  it('is refused when its manifest is a bomb, or none', async (t) => {
    const { dir, cacheDir } = await imageLab(t);
    const registry = await open(t, dir);
    registry.manifest = Buffer.alloc(64 * MiB, '[');
    await refused(importImage(cacheDir, registry.reference), cacheDir, /Cannot fetch/);
    registry.manifest = Buffer.from(`{"schemaVersion":2,"config":{"digest":"sha256:${sha256(other)}"}}`);
    await refused(importImage(cacheDir, registry.reference), cacheDir, /Cannot fetch/);
  });
});
