/** From files to an archive and back; and what comes instead of one. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { archiveOfMembers, forged, membersOf, type Forgery } from '../../test/support/archive-forge.js';
import {
  MADE_BYTES,
  madeDisk,
  madeQcow2,
  madeSnapshot,
  type Made,
} from '../../test/support/made-snapshot.js';
import { BadSnapshotArchive, SnapshotUntrusted } from './errors.js';
import { generateKey, readKeyring, trustKey } from './keys.js';
import { archiveBytes, archiveOf, packSnapshot } from './pack.js';
import { IncomingSnapshot, type UnpackTargets } from './unpack.js';
import { compressed } from './zstd.js';

let dir: string;
let lists = 0;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bough-travel-'));
});
after(() => rm(dir, { recursive: true }));

async function emptyDir(): Promise<string> {
  const path = join(dir, `empty-${++lists}`);
  await mkdir(path);
  return path;
}

async function packed(made: Made = {}, signer?: KeyObject): Promise<Buffer> {
  const source = await madeSnapshot(await emptyDir(), made);
  const layout = await packSnapshot(source, await emptyDir(), { signer });
  const archive = await buffer(archiveOf(layout));
  assert.equal(archive.length, archiveBytes(layout));
  return archive;
}

/** In pieces of odd sizes, as a network gives them. */
async function* inPieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 777) yield await Promise.resolve(bytes.subarray(at, at + 777));
}

const targetsIn = (folder: string): UnpackTargets => ({
  vmstatePath: join(folder, 'vmstate'),
  memoryPath: (index) => join(folder, `memory-${index}`),
  diskPath: (index) => join(folder, `disk-${index}`),
});

const nobody = { keyring: { trusted: new Map<string, KeyObject>() }, allowUnsigned: true };

/** Takes in an archive; the folder with its files. */
async function takenIn(
  archive: Buffer,
  trust = nobody,
): Promise<{ folder: string; incoming: IncomingSnapshot }> {
  const folder = await emptyDir();
  const incoming = await IncomingSnapshot.open(inPieces(archive), trust);
  await incoming.unpack(targetsIn(folder));
  return { folder, incoming };
}

async function refused(archive: Buffer, why: RegExp): Promise<void> {
  await assert.rejects(takenIn(archive), (error: unknown) => {
    assert(error instanceof BadSnapshotArchive, String(error));
    assert.match(error.problem, why);
    return true;
  });
}

describe('a snapshot as one file', () => {
  it('comes out as it went in, and the same one is the same bytes', async () => {
    const archive = await packed();
    assert(archive.equals(await packed()));
    const { folder, incoming } = await takenIn(archive);
    assert.equal(incoming.signedBy, undefined);
    assert.deepEqual(incoming.config.agent, { secret: 'known elsewhere', guestPort: 7000 });
    assert.deepEqual(await readFile(join(folder, 'disk-0')), madeDisk());
    assert.deepEqual(await readFile(join(folder, 'disk-1')), madeQcow2());
    assert.equal(await readFile(join(folder, 'vmstate'), 'utf8'), 'devices of made');
    const lower = await readFile(join(folder, 'memory-0'));
    assert.deepEqual([lower.length, lower[0], lower[4096], lower[5 * 4096]], [MADE_BYTES, 1, 0, 2]);
    assert.equal((await readFile(join(folder, 'memory-1')))[5 * 4096], 3);
  });

  it('shares chunks that hold the same, within it and with another', async () => {
    const disk = Buffer.alloc(40 << 20, 'sixteen bytes ..');
    const disks = [{ bytes: disk, format: 'raw' as const }];
    const archive = await packed({ disks });
    const { folder } = await takenIn(archive);
    assert((await readFile(join(folder, 'disk-0'))).equals(disk));
    // Device state, two layers, two of the disk's three chunks.
    const names = membersOf(archive).map(({ name }) => name);
    assert.equal(names.length, 4 + 5);
    const other = membersOf(await packed({ tag: 'other', disks })).map(({ name }) => name);
    assert.deepEqual(
      other.filter((name) => !names.includes(name)).length,
      2,
      'the manifest and the config alone differ',
    );
  });

  it('does not say what a disk stood on where it was made', async () => {
    const secretPath = '/home/somebody/private.raw';
    const backed = madeQcow2((header) => {
      header.writeBigUInt64BE(1024n, 8);
      header.writeUInt32BE(secretPath.length, 16);
      header.write(secretPath, 1024);
    });
    const disks = [
      { bytes: madeDisk(), format: 'raw' as const },
      { bytes: backed, format: 'qcow2' as const },
    ];
    const { folder } = await takenIn(await packed({ disks }));
    assert.deepEqual(await readFile(join(folder, 'disk-1')), madeQcow2());
  });
});

describe('a snapshot that says it is larger than anything', () => {
  it('is refused for a disk that no file can be, and for runs that no manifest has chunks for', async () => {
    const archive = await packed();
    await refused(
      forged(archive, { config: { 'disks.0.bytes': Number.MAX_SAFE_INTEGER } }),
      /no file of this host/,
    );
    const most = Number.MAX_SAFE_INTEGER;
    for (const config of [
      { 'disks.0.bytes': most, 'disks.0.runs': [[0, most]] },
      { 'memory.0.logicalBytes': most, 'memory.1.logicalBytes': most, 'memory.0.runs': [[0, most]] },
      { 'vmstate.bytes': most },
    ])
      await refused(forged(archive, { config }), /are in \d+ chunks, its manifest has/);
  });
});

describe('whose word it is', () => {
  it('is that of a trusted key, of the host that made it or of another', async () => {
    const [here, there] = [await emptyDir(), await emptyDir()];
    const { pem, fingerprint } = await generateKey(there);
    const { signer, trusted } = await readKeyring(there);
    assert.deepEqual([...trusted.keys()], [fingerprint]);
    const archive = await packed({}, signer);
    const strict = async () => ({ keyring: await readKeyring(here), allowUnsigned: false });
    const opened = async () => IncomingSnapshot.open(inPieces(archive), await strict());
    await assert.rejects(opened(), (error: unknown) => {
      assert(error instanceof SnapshotUntrusted);
      assert(error.problem.includes(fingerprint));
      return true;
    });
    assert.equal((await takenIn(archive)).incoming.signedBy, undefined);
    await trustKey(here, pem);
    assert.equal((await opened()).signedBy, fingerprint);
    await assert.rejects(generateKey(there), /already/);
  });

  it('is nobody’s without a signature, and is refused unless that is allowed', async () => {
    const archive = await packed();
    const strict = { ...nobody, allowUnsigned: false };
    await assert.rejects(IncomingSnapshot.open(inPieces(archive), strict), /nobody has signed it/);
  });

  it('covers all of it: not another snapshot, nor a signature that does not fit', async () => {
    const keys = await emptyDir();
    await generateKey(keys);
    const keyring = await readKeyring(keys);
    const trust = { keyring, allowUnsigned: false };
    const [one, other] = [await packed({}, keyring.signer), await packed({ tag: 'other' }, keyring.signer)];
    const [a, b] = [membersOf(one), membersOf(other)];
    // The manifest of the one, with the signature of the other.
    const index = JSON.parse((a[1]?.bytes ?? '').toString()) as { manifests: unknown[] };
    const theirs = JSON.parse((b[1]?.bytes ?? '').toString()) as { manifests: unknown[] };
    index.manifests[1] = theirs.manifests[1];
    const mixed = a.map((member, at) => (at >= 3 && at <= 5 ? (b[at] ?? member) : member));
    mixed[1] = { name: 'index.json', bytes: Buffer.from(JSON.stringify(index)) };
    const open = (archive: Buffer) => IncomingSnapshot.open(inPieces(archive), trust);
    await assert.rejects(open(archiveOfMembers(mixed)), /of another snapshot/);
    // Signed by another key that says it is this one.
    const { privateKey } = generateKeyPairSync('ed25519');
    const signedByOther = membersOf(await packed({}, privateKey));
    const impostor = {
      trusted: new Map([...keyring.trusted.values()].map((key) => [fingerprintIn(signedByOther), key])),
    };
    await assert.rejects(
      IncomingSnapshot.open(inPieces(archiveOfMembers(signedByOther)), {
        keyring: impostor,
        allowUnsigned: true,
      }),
      /signature .* is wrong/,
    );
  });
});

function fingerprintIn(members: ReturnType<typeof membersOf>): string {
  const signature = JSON.parse((members[3]?.bytes ?? '').toString()) as {
    layers: [{ annotations: Record<string, string> }];
  };
  return signature.layers[0].annotations['dev.bough.key'] ?? '';
}

describe('what comes instead of a snapshot', () => {
  let archive: Buffer;
  before(async () => {
    archive = await packed();
  });

  it('is refused wherever it is cut off, and with anything behind its end', async () => {
    for (let length = 0; length < archive.length; length += 511)
      await refused(archive.subarray(0, length), /ends within or before/);
    await refused(Buffer.concat([archive, Buffer.alloc(512)]), /follows its end/);
    await refused(Buffer.concat([archive.subarray(0, -1024), archive]), /should end/);
  });

  it('is refused with members of other names, places, kinds, and twice', async () => {
    const members = membersOf(archive);
    const with_ = (change: (all: typeof members) => void): Buffer => {
      const all = members.map((member) => ({ ...member }));
      change(all);
      return archiveOfMembers(all);
    };
    const at = members.length - 1;
    for (const name of ['../../etc/cron.d/x', '/etc/passwd', 'blobs/sha256/../../x', 'x'])
      await refused(
        with_((all) => all.splice(at, 1, { name, bytes: Buffer.from('x') })),
        /that bough did not write/,
      );
    await refused(
      with_((all) => all.splice(at, 0, ...all.slice(at - 1, at))),
      /that bough did not write/,
    );
    await refused(
      with_((all) => all.reverse()),
      /that bough did not write/,
    );
    await refused(
      with_((all) => all.push({ name: 'more', bytes: Buffer.from('x') })),
      /should end/,
    );
    // A link, a folder, another owner, a size in base 256: every byte of a header counts.
    for (const [offset, byte] of [
      [156, '2'],
      [156, '5'],
      [157, '/'],
      [108, '1'],
      [124, '\x80'],
      [345, '/'],
    ] as const) {
      const bent = Buffer.from(archive);
      bent.write(byte, offset, 'latin1');
      await refused(bent, /where oci-layout should be/);
    }
  });

  it('is refused at every byte that is another one', async () => {
    for (let at = 0; at < archive.length; at += 97) {
      const bent = Buffer.from(archive);
      bent[at] = (bent[at] ?? 0) ^ 0x20;
      await assert.rejects(takenIn(bent), BadSnapshotArchive, `byte ${at}`);
    }
  });

  const none = '0'.repeat(64);
  const forgeries: readonly (readonly [what: string, forgery: Forgery, why: RegExp])[] = [
    ['a newer format', { config: { version: 2 } }, /version/],
    ['a run behind its file', { config: { 'memory.0.runs.1': [1 << 20, 4096] } }, /behind its file/],
    ['runs out of order', { config: { 'memory.0.runs.0': [9 * 4096, 4096] } }, /out of order/],
    ['a run of no length', { config: { 'memory.0.runs.0': [0, 0] } }, /config is malformed/],
    ['a negative place', { config: { 'memory.0.runs.0': [-4096, 4096] } }, /config is malformed/],
    ['a size that is none', { config: { 'disks.0.bytes': 2 ** 60 } }, /config is malformed/],
    ['a raw disk above another', { config: { 'disks.1.format': 'raw' } }, /raw disk stands/],
    ['memory of two sizes', { config: { 'memory.1.logicalBytes': 2 << 20 } }, /different RAM/],
    ['a tag that is a path', { config: { tag: '../x' } }, /tag/],
    ['an image that is a path', { config: { 'image.name': '../x' } }, /image/],
    ['a field that nobody knows', { config: { kernel: '/x' } }, /config is malformed/],
    [
      'more data than chunks',
      { config: { 'memory.2': { logicalBytes: MADE_BYTES, runs: [[0, 4096]], sha256: none } } },
      /in 6 chunks, its manifest has 5/,
    ],
    ['an artifact of another kind', { manifest: { artifactType: 'x' } }, /manifest is malformed/],
    ['a blob of another digest', { manifest: { 'config.digest': `sha256:${none}` } }, /should be/],
    ['a chunk that is larger than its data', { manifest: { 'layers.0.size': 1 << 30 } }, /for 15$/],
    ['a chunk of gigabytes', { manifest: { 'layers.3.size': 1 << 30 } }, /has 1073741824 bytes/],
    ['a manifest of megabytes', { index: { 'manifests.0.size': 5 << 20 } }, /at most/],
    [
      'an index of another snapshot',
      { index: { 'manifests.0.annotations': {} } },
      /index.json says something else/,
    ],
    [
      'a chunk that is no zstd',
      { chunks: ([, ...rest]) => [Buffer.from('not zstd'), ...rest] },
      /cannot be unpacked/,
    ],
  ];
  for (const [what, forgery, why] of forgeries)
    it(`is refused with ${what}`, () => refused(forged(archive, forgery), why));

  it('is refused when it unpacks to more, or to less, than it says', async () => {
    const bomb = await compressed(Buffer.alloc(64 << 20));
    assert(bomb.length < 8192);
    await refused(forged(archive, { chunks: ([, ...rest]) => [bomb, ...rest] }), /unpacked to the 15 bytes/);
    const little = await compressed(Buffer.from('x'));
    await refused(forged(archive, { chunks: ([, ...rest]) => [little, ...rest] }), /15 bytes holds 1/);
    const [, ...others] = await Promise.all([0, 1, 2, 3].map(() => compressed(Buffer.alloc(1 << 20))));
    await refused(
      forged(archive, { chunks: ([state, ...rest]) => [state ?? bomb, others[0] ?? bomb, ...rest.slice(1)] }),
      /unpacked to the \d+ bytes/,
    );
  });

  const leading: readonly (readonly [what: string, edit: (header: Buffer) => void, why: RegExp])[] = [
    ['is no qcow2 file', (header) => header.fill(0, 0, 4), /no qcow2/],
    ['names a file it stands on', (header) => header.writeBigUInt64BE(1024n, 8), /names another file/],
    ['keeps its data elsewhere', (header) => header.writeBigUInt64BE(4n, 72), /in another file/],
    ['needs what is not known', (header) => header.writeBigUInt64BE(1n << 9n, 72), /features 200/],
    ['is encrypted', (header) => header.writeUInt32BE(1, 32), /encrypted/],
    ['is of another size', (header) => header.writeBigUInt64BE(512n, 24), /different sizes/],
    ['is of a size that is none', (header) => header.writeBigUInt64BE(1n << 63n, 24), /larger than a disk/],
    ['is of version 9', (header) => header.writeUInt32BE(9, 4), /version 9/],
  ];
  for (const [what, edit, why] of leading)
    it(`is refused with a disk that ${what}`, async () => {
      const disk = await compressed(madeQcow2(edit));
      await refused(forged(archive, { chunks: (chunks) => [...chunks.slice(0, -1), disk] }), why);
    });

  it('never writes where something is', async () => {
    const folder = await emptyDir();
    await writeFile(join(folder, 'memory-1'), 'mine');
    const incoming = await IncomingSnapshot.open(inPieces(archive), nobody);
    await assert.rejects(incoming.unpack(targetsIn(folder)), { code: 'EEXIST' });
    assert.equal(await readFile(join(folder, 'memory-1'), 'utf8'), 'mine');
    assert((await readdir(folder)).length < 5);
  });
});
