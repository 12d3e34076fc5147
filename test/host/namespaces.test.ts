/** An attacker in a QEMU of a daemon that is not root, who is that daemon's user: what he reaches in namespaces, and what he would without. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { whyNotConfined } from '../../src/vmm/index.js';
import { confinedLaunch, type Reach } from '../../src/vmm/process/confinement.js';
import { spawnVmmProcess } from '../../src/vmm/process/vmm-process.js';
import type { Tries } from '../support/escapee.js';

const ESCAPEE = fileURLToPath(new URL('../support/escapee.js', import.meta.url));
const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const notRoot = process.getuid?.() === 0 ? false : 'to run all of it as another user needs root';
/** Whom daemon, VMMs and attacker run as; the group has another number. */
const USER = 1_879_047_001;
const GROUP = 1_879_047_002;
const AS_USER = [`--reuid=${USER}`, `--regid=${GROUP}`, '--clear-groups', '--inh-caps=-all'];

/** Sends signals in each way there is; what the kernel said. A program of C's ways, since Node knows one. */
const SIGNALS = `
import fcntl, json, os, signal, socket, sys, threading
other, own = int(sys.argv[1]), os.getpid()
file = socket.socketpair()[0]
def got(way):
    try: way(); return 'done'
    except OSError as error: return type(error).__name__
print(json.dumps({name: got(way) for name, way in {
    'itself': lambda: os.kill(own, 0),
    'a thread of its own': lambda: signal.pthread_kill(threading.get_ident(), 0),
    'another': lambda: os.kill(other, 0),
    'its group': lambda: os.kill(0, 0),
    'by a descriptor': lambda: signal.pidfd_send_signal(os.pidfd_open(own), 0),
    'by a file that is another’s': lambda: fcntl.fcntl(file, fcntl.F_SETOWN, other),
    'by one that is its own': lambda: fcntl.fcntl(file, fcntl.F_SETOWN, own),
}.items()}))
`;
const ABSTRACT = `\0bough-namespaces-${process.pid}`;

describe('an attacker who has taken over a QEMU of a daemon that is not root', { skip: notRoot }, () => {
  let root = '';
  let own = '';
  let other = '';
  let daemon: ChildProcess;
  let sibling: ChildProcess;
  let sockets: Server;
  let api: Server;
  let nameless: Server;
  let logs = 0;
  const layer = (): string => join(root, 'snapshots', 'memory.bin');

  before(async () => {
    root = await mkdtemp('/dev/shm/bough-namespaces-');
    [own, other] = [join(root, 'sandboxes', 'one'), join(root, 'sandboxes', 'two')];
    for (const folder of [own, other].flatMap((vm) => [join(vm, 'layers'), join(vm, 'disk')]))
      await mkdir(folder, { recursive: true });
    await mkdir(dirname(layer()));
    await writeFile(layer(), 'memory', { mode: 0o400 });
    await writeFile(join(root, 'tokens.json'), '{}', { mode: 0o600 });
    for (const vm of [own, other]) {
      await link(layer(), join(vm, 'layers', 'layer.bin'));
      await writeFile(join(vm, 'record.json'), '{}', { mode: 0o600 });
      for (const disk of ['overlay', 'base'])
        await writeFile(join(vm, 'disk', disk), 'guest', { mode: 0o600 });
    }
    [daemon, sibling] = [startAsUser(), startAsUser()];
    await Promise.all([once(daemon, 'spawn'), once(sibling, 'spawn')]);
    sockets = createServer().listen(join(other, 'qmp'));
    await once(sockets, 'listening');
    for (const path of await readdir(root, { recursive: true })) await chown(join(root, path), USER, GROUP);
    await chown(root, USER, GROUP);
    await chmod(root, 0o700);
    api = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(api, 'listening');
    nameless = createServer((socket) => socket.destroy()).listen(ABSTRACT);
    await once(nameless, 'listening');
  });
  after(async () => {
    daemon.kill('SIGKILL');
    sibling.kill('SIGKILL');
    sockets.close();
    api.close();
    nameless.close();
    await rm(root, { recursive: true, force: true });
  });

  const startAsUser = (): ChildProcess => spawn('setpriv', [...AS_USER, '--', 'sleep', '600']);

  const tries = (): Tries => ({
    'make a layer writable': ['make-writable', join(own, 'layers', 'layer.bin')],
    'write to a layer': ['append', join(own, 'layers', 'layer.bin')],
    'put something else in the place of a layer': ['move-away', join(own, 'layers', 'layer.bin')],
    'write to the disk it stands on': ['append', join(own, 'disk', 'base')],
    'make a name that leads elsewhere': ['make-link', join(own, 'disk', 'link')],
    'read its own secret': ['read', join(own, 'record.json')],
    'change what the daemon knows of it': ['append', join(own, 'record.json')],
    'see which sandboxes there are': ['list', join(root, 'sandboxes')],
    'read the disk of another': ['read', join(other, 'disk', 'overlay')],
    'write to the disk of another': ['append', join(other, 'disk', 'overlay')],
    'talk to the QEMU of another': ['connect', join(other, 'qmp')],
    'signal the QEMU of another': ['signal', String(sibling.pid)],
    'write to the memory of another': ['write-memory', String(sibling.pid)],
    'make a snapshot writable, by its path': ['make-writable', layer()],
    'write to a snapshot, by its path': ['append', layer()],
    'read the tokens of the daemon': ['read', join(root, 'tokens.json')],
    'signal the daemon': ['signal', String(daemon.pid)],
    'write to the memory of the daemon': ['write-memory', String(daemon.pid)],
    'read files by way of the daemon': ['list', `/proc/${daemon.pid}/root/dev/shm`],
    'read who is on the host': ['read', '/etc/passwd'],
    'see what others have in common folders': ['list', '/tmp'],
    'reach the API of the daemon': ['connect-tcp', String((api.address() as AddressInfo).port)],
    'send a datagram': ['send-datagram', String((api.address() as AddressInfo).port)],
    'reach a socket that has a name and no path': ['connect', ABSTRACT],
    'see a network': ['see-interfaces', ''],
  });

  const play = (asked: Tries, reach?: Reach): Promise<Record<string, string>> =>
    run(process.execPath, [ESCAPEE, JSON.stringify(asked)], reach);

  /** Starts a program as such a daemon starts a VMM, and returns what it got. */
  async function run(
    program: string,
    argv: readonly string[],
    reach?: Reach,
  ): Promise<Record<string, string>> {
    const logPath = join(root, `log-${logs++}`);
    const launch = { qemuPath: program, argv, libraries: [] };
    const options = { ...(reach ? confinedLaunch(launch, reach) : launch), env: {}, logPath };
    const vmm = await spawnVmmProcess({ ...options, walls: ['/usr/bin/setpriv', ...AS_USER, '--'] });
    assert.deepEqual(await vmm.exited, { code: 0, signal: null }, await readFile(logPath, 'utf8'));
    return JSON.parse(await readFile(logPath, 'utf8')) as Record<string, string>;
  }

  it('reaches what his own guest is made of, and nothing else', async (t) => {
    const why = await whyNotConfined(process.execPath, { namespaced: true });
    if (why !== undefined) {
      t.skip(why);
      return;
    }
    // The program in QEMU's place is made of files too, and begins by asking where they really are.
    const program = [dirname(dirname(ESCAPEE)), join(PROJECT, 'package.json'), '/etc/ssl'];
    const reads = [...program, join(own, 'layers'), join(own, 'disk', 'base')];
    const reach = { namespaced: true, reads, writes: [join(own, 'disk')] };
    const needed: Tries = {
      layer: ['read', join(own, 'layers', 'layer.bin')],
      disk: ['append', join(own, 'disk', 'overlay')],
    };
    assert.deepEqual(await play(needed, reach), { layer: 'done', disk: 'done' });
    const got = await play(tries(), reach);
    const refused = new Set([
      'EACCES',
      'EPERM',
      'EROFS',
      'ENOENT',
      'ENETUNREACH',
      'ENETDOWN',
      'ECONNREFUSED',
    ]);
    assert.deepEqual(
      Object.entries(got).filter(([, answer]) => !refused.has(answer)),
      [],
    );
    assert.equal(await readFile(layer(), 'utf8'), 'memory');
  });

  it('signals nobody but himself, in no way', async (t) => {
    const why = await whyNotConfined('/usr/bin/python3', { namespaced: true });
    if (why !== undefined) {
      t.skip(why);
      return;
    }
    const reach = { namespaced: true, reads: [], writes: [] };
    const argv = ['-c', SIGNALS, String(sibling.pid)];
    assert.deepEqual(await run('/usr/bin/python3', argv, reach), {
      ...{ itself: 'done', 'a thread of its own': 'done' },
      ...{ another: 'PermissionError', 'its group': 'PermissionError', 'by a descriptor': 'PermissionError' },
      ...{ 'by a file that is another’s': 'PermissionError', 'by one that is its own': 'PermissionError' },
    });
  });

  it('would reach all of it without the walls', async () => {
    const got = await play(tries());
    assert.deepEqual(
      Object.entries(got).filter(([, answer]) => answer !== 'done'),
      [],
    );
    assert.notEqual(await readFile(layer(), 'utf8').catch(() => 'moved'), 'memory');
  });
});
