/** An attacker who has taken over a QEMU, played by a program in its place: what he reaches behind the walls, and what he would without. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, link, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeSandboxFolders, prepareSharedFolders, sandboxPaths } from '../../src/sandbox/entity/paths.js';
import type { SandboxPaths, Tiers } from '../../src/sandbox/entity/paths.js';
import {
  closeGround,
  giveFile,
  giveFiles,
  giveGround,
  openWays,
} from '../../src/sandbox/entity/vmm-files.js';
import { Walls } from '../../src/sandbox/entity/walls.js';
import {
  DEFAULT_VMM_UIDS,
  wallCommand,
  whyNotConfined,
  whyNotWalled,
  type VmmUser,
} from '../../src/vmm/index.js';
import { confinedLaunch, type Reach } from '../../src/vmm/process/confinement.js';
import { requireWalled } from '../../src/vmm/process/vmm-user.js';
import { spawnVmmProcess } from '../../src/vmm/process/vmm-process.js';
import type { Tries } from '../support/escapee.js';

const ESCAPEE = fileURLToPath(new URL('../support/escapee.js', import.meta.url));
const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const notRoot = process.getuid?.() === 0 ? false : 'to run something as another user needs root';

const ABSTRACT = `\0bough-walls-${process.pid}`;
const REFUSALS = ['EACCES', 'EPERM', 'ENETUNREACH', 'ENETDOWN', 'ECONNREFUSED'];
const reached = (got: Record<string, string>): string[] =>
  Object.keys(got).filter((name) => !REFUSALS.includes(got[name] ?? ''));

describe('an attacker who has taken over a QEMU', { skip: notRoot }, () => {
  let root = '';
  let tiers: Tiers;
  let own: SandboxPaths;
  let other: SandboxPaths;
  let user: VmmUser;
  let sibling: ChildProcess;
  let sockets: Server;
  let api: Server;
  let nameless: Server;
  let logs = 0;
  const layerOf = ({ hotDir }: SandboxPaths): string => join(hotDir, 'layers', 'layer.bin');
  const overlayOf = ({ stateDir }: SandboxPaths): string => join(stateDir, 'disk', 'overlay-0.qcow2');

  /** As a VM's files are when its guest runs, on a layer that all share. */
  async function makeVm(name: string, layer: string, walls: Walls): Promise<[SandboxPaths, VmmUser]> {
    const paths = sandboxPaths(tiers, name);
    const vmUser = walls.take(name);
    await makeSandboxFolders(paths);
    await link(layer, layerOf(paths));
    for (const path of [overlayOf(paths), paths.ramMarker]) await writeFile(path, 'guest', { mode: 0o600 });
    await writeFile(paths.record, '{"agent":{"secret":"s"}}', { mode: 0o600 });
    const files = { own: [overlayOf(paths), paths.ramMarker], shared: [layerOf(paths)] };
    await giveGround(paths, vmUser);
    await giveFiles(files, vmUser);
    await closeGround(paths);
    return [paths, vmUser];
  }

  before(async () => {
    root = await mkdtemp('/dev/shm/bough-walls-');
    await chmod(root, 0o711);
    tiers = { stateDir: join(root, 'state'), hotDir: join(root, 'hot') };
    for (const tier of Object.values(tiers) as string[])
      await mkdir(join(tier, 'snapshots', 'base'), { recursive: true, mode: 0o700 });
    await prepareSharedFolders(tiers);
    const layer = join(tiers.hotDir, 'snapshots', 'base', 'memory.bin');
    await writeFile(layer, 'memory', { mode: 0o400 });
    await writeFile(join(tiers.stateDir, 'tokens.json'), '{}', { mode: 0o600 });
    const walls = new Walls(DEFAULT_VMM_UIDS, { owns: () => true, list: () => [] });
    await openWays(tiers, walls.readersGid);
    let otherUser: VmmUser;
    [own, user] = await makeVm('one', layer, walls);
    [other, otherUser] = await makeVm('two', layer, walls);
    sibling = spawn('/bin/sh', [
      '-c',
      'exec "$@"',
      'sh',
      ...wallCommand(otherUser.uid, [user.readersGid]),
      'sleep',
      '600',
    ]);
    await once(sibling, 'spawn');
    sockets = createServer().listen(other.qmpSocket);
    await once(sockets, 'listening');
    await giveFile(other.qmpSocket, otherUser);
    api = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(api, 'listening');
    nameless = createServer((socket) => socket.destroy()).listen(ABSTRACT);
    await once(nameless, 'listening');
    assert.equal(
      await whyNotWalled(DEFAULT_VMM_UIDS, [process.execPath, ESCAPEE]),
      undefined,
      'the program that plays him cannot be run as another user here',
    );
  });
  after(async () => {
    sibling.kill('SIGKILL');
    sockets.close();
    api.close();
    nameless.close();
    await rm(root, { recursive: true, force: true });
  });

  const tries = (): Tries => ({
    'write to a layer': ['append', layerOf(own)],
    'make a layer writable': ['make-writable', layerOf(own)],
    'put something else in the place of a layer': ['move-away', layerOf(own)],
    'make a name that leads elsewhere': ['make-link', join(own.hotDir, 'link')],
    'remove a name from its folder': ['unlink', own.ramMarker],
    'read its own secret': ['read', own.record],
    'see which sandboxes there are': ['list', join(tiers.hotDir, 'sandboxes')],
    'read the disk of another': ['read', overlayOf(other)],
    'read a layer of another, by its path': ['read', layerOf(other)],
    'write to the disk of another': ['append', overlayOf(other)],
    'talk to the QEMU of another': ['connect', other.qmpSocket],
    'signal the QEMU of another': ['signal', String(sibling.pid)],
    'write to the memory of another': ['write-memory', String(sibling.pid)],
    'read a snapshot, by its path': ['read', join(tiers.hotDir, 'snapshots', 'base', 'memory.bin')],
    'read the tokens of the daemon': ['read', join(tiers.stateDir, 'tokens.json')],
    'write to the memory of the daemon': ['write-memory', String(process.pid)],
    'become root': ['become-root', ''],
  });

  /** Starts it as a VMM is started, and returns what it got. */
  async function play(
    asked: Tries,
    walls?: readonly string[],
    reach?: Reach,
  ): Promise<Record<string, string>> {
    const logPath = join(root, `log-${logs++}`);
    const argv = [ESCAPEE, JSON.stringify(asked)];
    const launch = { qemuPath: process.execPath, argv, libraries: [] };
    const options = { ...(reach ? confinedLaunch(launch, reach) : launch), env: {}, logPath };
    const vmm = await spawnVmmProcess({ ...options, ...(walls && { walls }) });
    assert.deepEqual(await vmm.exited, { code: 0, signal: null }, await readFile(logPath, 'utf8'));
    return JSON.parse(await readFile(logPath, 'utf8')) as Record<string, string>;
  }

  it('reaches what his own guest is made of, and nothing else', async () => {
    const walled = wallCommand(user.uid, [user.readersGid]);
    const needed: Tries = { layer: ['read', layerOf(own)], disk: ['append', overlayOf(own)] };
    assert.deepEqual(await play(needed, walled), { layer: 'done', disk: 'done' });
    assert.deepEqual(reached(await play({ ...tries(), ...network() }, walled)), []);
    assert.equal(await readFile(layerOf(other), 'utf8'), 'memory');
  });

  /** Who listens on the host, and at no path. */
  const network = (): Tries => {
    const port = String((api.address() as AddressInfo).port);
    return {
      'reach the API of the daemon': ['connect-tcp', port],
      'send a datagram': ['send-datagram', port],
      'reach a socket that has a name and no path': ['connect', ABSTRACT],
      'see a network': ['see-interfaces', ''],
    };
  };
  /** What everybody on the host may read. */
  const besides = (): Tries => ({
    'read who is on the host': ['read', '/etc/passwd'],
    'see what others have in common folders': ['list', '/tmp'],
  });

  it('confined, reaches no network and none of what everybody may read', async (t) => {
    const why = await whyNotConfined(process.execPath, { namespaced: false });
    if (why !== undefined) {
      t.skip(why);
      return;
    }
    const walled = wallCommand(user.uid, [user.readersGid]);
    // The program in QEMU's place is made of files too, and begins by asking where they really are.
    const reads = [dirname(dirname(ESCAPEE)), join(PROJECT, 'package.json'), '/etc/ssl'];
    const reach = { reads, writes: [own.hotDir, own.stateDir] };
    const needed: Tries = { layer: ['read', layerOf(own)], disk: ['append', overlayOf(own)] };
    assert.deepEqual(await play(needed, walled, reach), { layer: 'done', disk: 'done' });
    assert.deepEqual(reached(await play({ ...tries(), ...network(), ...besides() }, walled, reach)), []);
    assert.deepEqual(Object.values(await play(besides(), walled)), ['done', 'done']);
    const launch = confinedLaunch({ qemuPath: '/bin/sleep', argv: ['600'], libraries: [] }, reach);
    const vmm = await spawnVmmProcess({
      ...launch,
      env: {},
      logPath: join(root, 'log-limits'),
      walls: walled,
    });
    while ((await readFile(`/proc/${vmm.pid}/comm`, 'utf8')) !== 'sleep\n');
    assert.match(await readFile(`/proc/${vmm.pid}/limits`, 'utf8'), /^Max processes +1024 +1024 /m);
    await vmm.signal('SIGKILL');
    await vmm.exited;
  });

  it('leaves the tiers themselves to root: systemd gives back all of a StateDirectory that is another’s', async () => {
    for (const tier of [tiers.stateDir, tiers.hotDir]) {
      const { uid, gid, mode } = await stat(tier);
      assert.deepEqual([uid, gid, mode & 0o777], [0, process.getgid?.(), 0o711]);
    }
  });

  it('is seen to be without privileges, as a VMM is before its guest runs', async () => {
    const walled = wallCommand(user.uid, [user.readersGid]);
    const options = { qemuPath: '/bin/sleep', argv: ['600'], libraries: [], env: {} };
    const vmm = await spawnVmmProcess({ ...options, logPath: join(root, 'log-seen'), walls: walled });
    while ((await readFile(`/proc/${vmm.pid}/comm`, 'utf8')) !== 'sleep\n');
    await requireWalled(vmm.pid, user.uid);
    await assert.rejects(requireWalled(vmm.pid, user.uid + 1), { name: 'NotWalled' });
    await assert.rejects(requireWalled(process.pid, 0), { name: 'NotWalled' });
    await vmm.signal('SIGKILL');
    await vmm.exited;
  });

  it('cannot be kept from a program that lies where he may not pass: the host says which', async () => {
    const hidden = join(tiers.stateDir, 'sandboxes', 'one', 'disk', 'overlay-0.qcow2');
    assert.equal(
      await whyNotWalled(DEFAULT_VMM_UIDS, ['/bin/sh', hidden]),
      `another user does not reach ${hidden}`,
    );
  });

  it('would reach all of it without the walls', async () => {
    const got = await play({ ...tries(), ...network() });
    const refused = Object.keys(got).filter((name) => got[name] !== 'done');
    assert.deepEqual(refused, []);
    assert.notEqual(
      (await stat(join(tiers.hotDir, 'snapshots', 'base', 'memory.bin'))).size,
      'memory'.length,
    );
  });
});
