/**
 * Images that look like those people have, made of what Debian has: musl with a shell and a user, one program and nothing else, a
 * PostgreSQL without Python.
 *
 * They lie in the cache folder, named after what they are made of, and so does what was imported of them: the second run makes nothing.
 */
import { createHash } from 'node:crypto';
import {
  appendFile,
  chmod,
  chown,
  copyFile,
  mkdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { debianSources } from '../../src/image/debian/apt-sources.js';
import { hostAptOptions } from '../../src/image/debian/rootfs.js';
import { debianCodename } from '../../src/image/host-tools.js';
import { BUSYBOX } from './image-lab.js';
import { tarOf, writeLayout } from './oci-image.js';

const SOURCE = fileURLToPath(new URL('../../../test/support/whoami.c', import.meta.url));
const THIS_FILE = fileURLToPath(import.meta.url);

export const APP = { uid: 1000, gid: 1000 };

/** A layout of that name in `cacheDir`, made unless one of the same making is there. */
async function keptLayout(
  cacheDir: string,
  name: string,
  make: (root: string) => Promise<object>,
): Promise<string> {
  const making = await Promise.all([THIS_FILE, SOURCE, BUSYBOX].map((path) => readFile(path)));
  const key = createHash('sha256').update(Buffer.concat(making)).digest('hex').slice(0, 12);
  const layout = join(cacheDir, 'layouts', `${name}-${key}`, name);
  if (await stat(layout).catch(() => undefined)) return layout;
  await rm(dirname(layout), { recursive: true, force: true });
  const root = join(dirname(layout), 'root');
  await mkdir(root, { recursive: true });
  const config = await make(root);
  const unfinished = `${layout}.unfinished`;
  await writeLayout(unfinished, { layers: [await tarOf(root)], config });
  await rm(root, { recursive: true });
  await rename(unfinished, layout);
  return layout;
}

/** musl, a shell, and a user who is not root and may not write everywhere. */
export function muslLayout(cacheDir: string): Promise<string> {
  return keptLayout(cacheDir, 'musl', async (root) => {
    for (const dir of ['bin', 'lib', 'etc', 'srv', 'closed', 'run/app'])
      await mkdir(join(root, dir), { recursive: true });
    await copyFile(BUSYBOX, join(root, 'bin/busybox'));
    for (const applet of ['sh', 'id', 'touch', 'cat', 'ls', 'sleep', 'env'])
      await symlink('busybox', join(root, 'bin', applet));
    await copyFile('/lib/ld-musl-x86_64.so.1', join(root, 'lib/ld-musl-x86_64.so.1'));
    await execa('musl-gcc', ['-O1', '-o', join(root, 'bin/whoami'), SOURCE]);
    await copyFile(join(root, 'bin/whoami'), join(root, 'bin/become-root'));
    await chmod(join(root, 'bin/become-root'), 0o4755);
    await writeFile(
      join(root, 'etc/passwd'),
      'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n',
    );
    await writeFile(join(root, 'etc/group'), 'root:x:0:\napp:x:1000:\nstaff:x:50:app\n');
    await writeFile(join(root, 'closed/file'), 'kept\n');
    await writeFile(join(root, 'run/app/there'), 'kept\n');
    await chmod(join(root, 'closed'), 0o555);
    await chown(join(root, 'srv'), APP.uid, APP.gid);
    await chmod(join(root, 'srv'), 0o700);
    return {
      ...{ User: 'app', Env: ['COLOR=green', 'PATH=/bin'], WorkingDir: '/srv' },
      ...{ Entrypoint: ['/bin/sh', '-c', 'touch /srv/started'], Cmd: ['ignored'] },
    };
  });
}

/** One static program. No shell, no libc, no /etc. */
export function singleLayout(cacheDir: string): Promise<string> {
  return keptLayout(cacheDir, 'single', async (root) => {
    await execa('musl-gcc', ['-static', '-O1', '-o', join(root, 'whoami'), SOURCE]);
    return { User: '65532', WorkingDir: '/made/here', Entrypoint: ['/whoami'] };
  });
}

/** What takes room, and no query needs. */
const LEFT_OUT = ['share/doc', 'share/man', 'share/locale', 'share/perl', 'share/perl5', 'share/info'];

/** Debian's PostgreSQL with a database in /data, unpacked and never configured. */
export function postgresLayout(cacheDir: string): Promise<string> {
  return keptLayout(cacheDir, 'foreign-postgres', async (root) => {
    const codename = debianCodename(await readFile('/etc/os-release', 'utf8')) ?? '';
    const sources = `${dirname(root)}/sources.list`;
    await writeFile(sources, `${(await debianSources(codename)).join('\n')}\n`);
    const aptOptions = (await hostAptOptions(undefined)).map((option) => `--aptopt=${option}`);
    const packages = 'postgresql,dash,coreutils,libc-bin';
    await rm(root, { recursive: true });
    await execa('mmdebstrap', [
      ...['--mode=root', '--variant=extract', '--format=directory', `--include=${packages}`],
      ...['--skip=download/empty', ...aptOptions, codename, root, sources],
    ]);
    for (const dir of LEFT_OUT) await rm(join(root, 'usr', dir), { recursive: true, force: true });
    await execa('sh', ['-c', `rm -rf ${root}/usr/lib/*/libLLVM* ${root}/usr/lib/*/perl* ${root}/var/*`]);
    await symlink('dash', join(root, 'bin/sh')).catch(() => undefined);
    await writeFile(
      join(root, 'etc/passwd'),
      'root:x:0:0::/root:/bin/sh\npostgres:x:101:101::/data:/bin/sh\n',
    );
    await writeFile(join(root, 'etc/group'), 'root:x:0:\npostgres:x:101:\n');
    for (const dir of ['data', 'tmp', 'dev', 'proc']) await mkdir(join(root, dir), { recursive: true });
    await chmod(join(root, 'tmp'), 0o1777);
    await chown(join(root, 'data'), 101, 101);
    await execa('sh', ['-c', `test -c ${root}/dev/null || mknod -m 666 ${root}/dev/null c 1 3`]);
    const [bin = ''] = (
      await execa('sh', ['-c', `cd ${root} && ls -d usr/lib/postgresql/*/bin`])
    ).stdout.split('\n');
    const initdb = [`/${bin}/initdb`, '-D', '/data', '-A', 'trust', '--no-sync', '--locale=C'];
    await execa('chroot', ['--userspec=101:101', root, ...initdb]);
    await appendFile(join(root, 'data/postgresql.conf'), "jit = off\nunix_socket_directories = '/tmp'\n");
    return {
      ...{ User: 'postgres', WorkingDir: '/data', Env: [`PATH=/${bin}:/usr/bin:/bin`] },
      ...{ Cmd: ['postgres', '-D', '/data'], ExposedPorts: { '5432/tcp': {} } },
    };
  });
}
