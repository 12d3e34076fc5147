/** Snapshots go to a registry and come back the same; what is there is not moved again; whatever fails says what it was. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  BadSnapshotArchive,
  generateKey,
  inspectSnapshot,
  packSnapshot,
  pullSnapshot,
  pushSnapshot,
  readKeyring,
  RegistryFailed,
  remoteOf,
  SnapshotUntrusted,
  type Keyring,
} from '../../src/hub/index.js';
import { countingProxy, type CountingProxy } from '../../src/bench/counting-proxy.js';
import { fakeRegistry } from '../support/fake-registry.js';
import { madeArchive, madeSnapshot, type Made } from '../support/made-snapshot.js';
import { scriptedRegistry } from '../support/scripted-registry.js';
import { startRegistry, type Registry } from '../support/registry.js';

/** The password is "sesame". */
const HTPASSWD = 'bough:$2b$04$oRNSGbXdvFxaNV3FN99FiOK6Lfa4ZV0dEvrI4JGcEklCdQlBxWZkO';
const NOISE_BYTES = 3 << 20;

describe('a snapshot in a registry', { timeout: 240_000 }, () => {
  let dir: string;
  let registry: Registry;
  let proxy: CountingProxy;
  let keyring: Keyring;
  let noise: Buffer;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-registry-test-'));
    registry = await startRegistry();
    proxy = await countingProxy(registry.address);
    await generateKey(join(dir, 'keys'));
    keyring = await readKeyring(join(dir, 'keys'));
    noise = randomBytes(NOISE_BYTES);
  });
  after(async () => {
    await proxy.close();
    await registry.close();
    await rm(dir, { recursive: true });
  });

  const packed = (made: Made = {}, isSigned = true): Promise<Buffer> =>
    madeArchive(dir, made, isSigned ? keyring.signer : undefined);
  const noisy = (tag: string): Made => ({ tag, disks: [{ bytes: noise, format: 'raw' }] });
  const work = (): Promise<string> => mkdtemp(join(dir, 'work-'));
  const at = (path: string): ReturnType<typeof remoteOf> => remoteOf(`${proxy.address}/${path}`);

  it('comes back as the very file it was, with its signature', async () => {
    const archive = await packed();
    const workDir = await work();
    const pushed = await pushSnapshot(inOne(archive), at('team/base:v1'), { workDir });
    assert.deepEqual(await readdir(workDir), ['lock']);
    await using pulled = await pullSnapshot(at('team/base:v1'), { workDir });
    assert.deepEqual([pulled.digest, pulled.sizeBytes], [pushed.digest, archive.length]);
    assert((await read(pulled.bytes)).equals(archive));
    const facts = await inspectSnapshot(at('team/base:v1'), keyring, { workDir: await work() });
    assert.deepEqual([facts.digest, facts.signedBy], [pushed.digest, pushed.claimedBy]);
    assert.equal(facts.annotations['dev.bough.qemu'], '7.2.22');
    const stranger = await inspectSnapshot(
      at('team/base:v1'),
      { trusted: new Map<string, never>() },
      { workDir: await work() },
    );
    assert.deepEqual([stranger.signedBy, stranger.claimedBy], [undefined, pushed.claimedBy]);
    await pulled.forget();
    assert.deepEqual(await readdir(workDir), ['lock']);
  });

  it('comes back unsigned when nobody has signed it', async () => {
    const archive = await packed({ tag: 'unsigned' }, false);
    await pushSnapshot(inOne(archive), at('team/unsigned:v1'), { workDir: await work() });
    await using pulled = await pullSnapshot(at('team/unsigned:v1'), { workDir: await work() });
    assert((await read(pulled.bytes)).equals(archive));
  });

  it('sends of another only what is not there', async () => {
    proxy.take();
    await pushSnapshot(inOne(await packed(noisy('base'))), at('team/shared:base'), { workDir: await work() });
    const first = proxy.take();
    assert(first.sentBytes > NOISE_BYTES);
    await pushSnapshot(inOne(await packed(noisy('branch'))), at('team/shared:branch'), {
      workDir: await work(),
    });
    const second = proxy.take();
    assert(
      second.sentBytes < NOISE_BYTES / 20,
      `${second.sentBytes} of ${first.sentBytes} bytes were sent again`,
    );
  });

  it('fetches after a break only what is missing', async () => {
    await pushSnapshot(inOne(await packed(noisy('broken'))), at('team/broken:v1'), { workDir: await work() });
    const workDir = await work();
    {
      await using pulled = await pullSnapshot(at('team/broken:v1'), { workDir });
      assert(pulled.sizeBytes > NOISE_BYTES);
    }
    const blobs = join(workDir, 'arriving/blobs/sha256');
    // A chunk that did not arrive, and one that was arriving when it was killed.
    const sizes = await Promise.all(
      (await readdir(blobs)).map(async (name) => [name, (await readFile(join(blobs, name))).length] as const),
    );
    const [small = ''] = sizes.find(([, bytes]) => bytes < 100) ?? [];
    await rm(join(blobs, small));
    await writeFile(join(workDir, 'arriving/oci-put-blob123'), 'half');
    proxy.take();
    await using again = await pullSnapshot(at('team/broken:v1'), { workDir });
    assert(proxy.take().gotBytes < NOISE_BYTES / 20);
    assert.equal((await read(again.bytes)).length, again.sizeBytes);
    assert(!(await readdir(join(workDir, 'arriving'))).includes('oci-put-blob123'));
  });

  const fails = async (kind: string, work_: Promise<unknown>, words: RegExp): Promise<void> =>
    assert.rejects(work_, (error: unknown) => {
      assert(error instanceof RegistryFailed, String(error));
      assert.deepEqual([error.kind, words.test(error.message)], [kind, true], error.message);
      return true;
    });

  it('tells a wrong password, no network, a silent server and no such snapshot apart', async () => {
    const closed = await startRegistry({ htpasswd: HTPASSWD });
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    try {
      const authFile = join(dir, 'auth.json');
      const login = async (text: string): Promise<void> => {
        const auth = Buffer.from(text).toString('base64');
        await writeFile(authFile, JSON.stringify({ auths: { [closed.address]: { auth } } }));
      };
      const archive = await packed();
      const there = remoteOf(`${closed.address}/team/base:v1`);
      const push = async (): Promise<unknown> =>
        pushSnapshot(inOne(archive), there, { workDir: await work(), authFile });
      await login('bough:wrong');
      await fails('denied', push(), /wants a password, or another one/);
      await login('bough:sesame');
      await push();
      await using pulled = await pullSnapshot(there, { workDir: await work(), authFile });
      assert.equal(pulled.sizeBytes, archive.length);
      await login('bough:wrong');
      await fails('denied', pullSnapshot(there, { workDir: await work(), authFile }), /wants a password/);

      await fails(
        'missing',
        pullSnapshot(at('team/nothing:v1'), { workDir: await work() }),
        /There is no .*team\/nothing:v1/,
      );
      await fails(
        'unreachable',
        pullSnapshot(remoteOf('127.0.0.1:9/x:v1'), { workDir: await work() }),
        /cannot be reached/,
      );
      const port = (silent.address() as AddressInfo).port;
      const options = { workDir: await work(), stallMs: 800 };
      await fails(
        'unreachable',
        pullSnapshot(remoteOf(`127.0.0.1:${port}/x:v1`), options),
        /has said nothing for 0.8 s/,
      );
    } finally {
      silent.close();
      await closed.close();
    }
  });

  it('is refused when the registry serves other bytes, and leaves none of them', async () => {
    const source = await madeSnapshot(await mkdtemp(join(dir, 'made-')));
    const { dir: layout } = await packSnapshot(source, await mkdtemp(join(dir, 'layout-')));
    const liar = await fakeRegistry(layout);
    try {
      liar.layer = (response, honest) => {
        const bent = Buffer.from(honest);
        bent[bent.length - 1] = (bent.at(-1) ?? 0) ^ 1;
        response.end(bent);
      };
      const workDir = await work();
      await fails('failed', pullSnapshot(remoteOf(liar.reference), { workDir }), /Cannot copy/);
      liar.manifest = Buffer.from('{"schemaVersion":2,"config":{"digest":"sha256:0"},"layers":[]}');
      await assert.rejects(pullSnapshot(remoteOf(liar.reference), { workDir }), (error: unknown) => {
        return error instanceof RegistryFailed || error instanceof BadSnapshotArchive;
      });
      // Whole, but its own manifest is served for its signature, too.
      [liar.layer, liar.manifest] = [undefined, undefined];
      await assert.rejects(pullSnapshot(remoteOf(liar.reference), { workDir }), BadSnapshotArchive);
      assert.deepEqual(await readdir(workDir), ['lock']);
    } finally {
      await liar.close();
    }
  });

  it('is not fetched where nobody who is trusted has signed it', async () => {
    for (const [isSigned, words] of [
      [false, /nobody has signed it/],
      [true, /the key [0-9a-f]{64} has signed it, which is not trusted here/],
    ] as const) {
      await using registry = await scriptedRegistry();
      const there = remoteOf(`${registry.address}/team/base:v1`);
      await pushSnapshot(inOne(await packed({}, isSigned)), there, { workDir: await work() });
      registry.takeMoved();
      const trust = { keyring: { trusted: new Map<string, never>() }, allowUnsigned: false };
      const workDir = await work();
      await assert.rejects(pullSnapshot(there, { workDir, trust }), (error: unknown) => {
        assert(error instanceof SnapshotUntrusted, String(error));
        assert.match(error.message, words);
        return true;
      });
      assert.deepEqual(await readdir(workDir), ['lock']);
      const moved = registry.takeMoved();
      assert.equal(moved.length, isSigned ? 1 : 0, 'more than the signature');
      await using pulled = await pullSnapshot(there, {
        ...{ workDir: await work(), trust: { keyring, allowUnsigned: !isSigned } },
      });
      assert(registry.takeMoved().length > moved.length);
      await pulled.forget();
    }
  });

  it('needs no signature from a registry that says in a status alone that there is none', async () => {
    const source = await madeSnapshot(await mkdtemp(join(dir, 'made-')));
    const { dir: layout, digest } = await packSnapshot(source, await mkdtemp(join(dir, 'layout-')));
    const terse = await fakeRegistry(layout);
    try {
      terse.first = (url, response) => {
        if (!url.endsWith('.sig')) return false;
        response.writeHead(404).end();
        return true;
      };
      await using pulled = await pullSnapshot(remoteOf(terse.reference), { workDir: await work() });
      assert.equal(pulled.digest, digest);
    } finally {
      await terse.close();
    }
  });

  it('has nothing in it of an address that a registry leads to', async () => {
    const source = await madeSnapshot(await mkdtemp(join(dir, 'made-')));
    const { dir: layout } = await packSnapshot(source, await mkdtemp(join(dir, 'layout-')));
    const liar = await fakeRegistry(layout);
    const secret = 'of a network that only this machine reaches';
    const inner = createHttpServer((_request, response) => response.end(secret)).listen(0, '127.0.0.1');
    await once(inner, 'listening');
    try {
      const location = `http://127.0.0.1:${(inner.address() as AddressInfo).port}/latest/meta-data`;
      liar.first = (url, response) => {
        if (!url.includes('/blobs/')) return false;
        response.writeHead(307, { location }).end();
        return true;
      };
      const workDir = await work();
      await assert.rejects(pullSnapshot(remoteOf(liar.reference), { workDir }), (error: unknown) => {
        assert(error instanceof RegistryFailed, String(error));
        assert(!error.message.includes(secret), error.message);
        return true;
      });
      const kept = await readdir(join(workDir, 'arriving/blobs/sha256')).catch(() => []);
      assert.deepEqual(kept, []);
    } finally {
      inner.close();
      await liar.close();
    }
  });

  it('is one copy at a time for one user, and needs a registry in its name', async () => {
    const workDir = await work();
    await pushSnapshot(inOne(await packed()), at('team/base:v1'), { workDir });
    await using held = await pullSnapshot(at('team/base:v1'), { workDir });
    assert(held.sizeBytes > 0);
    await fails('busy', pullSnapshot(at('team/base:v1'), { workDir }), /under way \(process \d+\)/);
    for (const text of [
      'base',
      'team/base:v1',
      'registry.example/team/base',
      'registry.example:v1',
      'a b/c:v1',
      '--x/y:z',
    ])
      assert.throws(() => remoteOf(text), /Not a snapshot of a registry/, text);
    assert.deepEqual(remoteOf('localhost:5000/team/base:v1'), {
      repository: 'localhost:5000/team/base',
      name: 'v1',
    });
  });
});

async function* inOne(bytes: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(bytes);
}

async function read(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}
