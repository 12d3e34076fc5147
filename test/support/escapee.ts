/**
 * What runs in QEMU's place after an attacker has taken it over: it tries what it was told to, and prints as JSON what it got, by name.
 *
 * A try that fails is told with the reason. What is told is the kernel's answer and not a look at modes.
 */
import { appendFile, chmod, open, readdir, readFile, rename, symlink, unlink } from 'node:fs/promises';
import { createSocket } from 'node:dgram';
import { createConnection } from 'node:net';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';

const refusal = (code: string): Error => Object.assign(new Error(code), { code });

/** How each try is made, of a path or a process's id. */
const tries = {
  read: (path: string) => readFile(path),
  list: (path: string) => readdir(path),
  append: (path: string) => appendFile(path, 'x'),
  'make-writable': async (path: string) => {
    await chmod(path, 0o666);
  },
  unlink: (path: string) => unlink(path),
  'move-away': (path: string) => rename(path, `${path}-away`),
  'make-link': (path: string) => symlink('/etc/passwd', path),
  /** A path that begins with NUL is no file's. */
  connect: async (path: string) => {
    const socket = createConnection(path);
    await once(socket, 'connect');
    socket.destroy();
  },
  /** To a port of the host's loopback. */
  'connect-tcp': async (port: string) => {
    const socket = createConnection(Number(port), '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
  },
  'send-datagram': (port: string) =>
    new Promise<void>((done, fail) => {
      const socket = createSocket('udp4').on('error', fail);
      socket.send('x', Number(port), '127.0.0.1', (error) => {
        socket.close();
        if (error === null) done();
        else fail(error);
      });
    }),
  /** What is up in its network. */
  'see-interfaces': () => {
    if (Object.keys(networkInterfaces()).length === 0) throw refusal('ENETDOWN');
  },
  signal: (pid: string) => process.kill(Number(pid), 0),
  /** The kernel asks for what ptrace would need. */
  'write-memory': async (pid: string) => (await open(`/proc/${pid}/mem`, 'r+')).close(),
  'become-root': () => process.setuid?.(0),
} as const;

/** `[what, of whom]` by a name of the caller's. */
export type Tries = Readonly<Record<string, readonly [how: keyof typeof tries, what: string]>>;

const asked = process.argv[2];
if (asked !== undefined) {
  const got: Record<string, string> = {};
  for (const [name, [how, what]] of Object.entries(JSON.parse(asked) as Tries)) {
    try {
      await tries[how](what);
      got[name] = 'done';
    } catch (error) {
      got[name] = (error as NodeJS.ErrnoException).code ?? String(error);
    }
  }
  process.stdout.write(`${JSON.stringify(got)}\n`);
}
