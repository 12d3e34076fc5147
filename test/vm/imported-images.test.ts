/**
 * Images that people have boot as they are, nothing in them starts by itself, and programs run as the image says. Skips without root,
 * QEMU or the programs that import.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { importImage } from '../../src/image/index.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import type { BootSpec } from '../../src/sandbox/start/boot-spec.js';
import { DEFAULT_QEMU_PATH } from '../../src/vmm/index.js';
import type { Guest } from '../support/guest.js';
import { muslLayout, postgresLayout, singleLayout } from '../support/foreign-images.js';
import { skipImport } from '../support/image-lab.js';
import { Lab } from '../support/lab.js';
import { emptyFolders, TEST_QEMU_PATH } from '../support/test-host.js';
import { limitMs } from '../support/time-limit.js';

const skip = existsSync(TEST_QEMU_PATH ?? DEFAULT_QEMU_PATH) ? await skipImport() : 'QEMU is not installed';

const MEMORY_MIB = 256;

let lab: Lab;

describe('images that were imported', { skip, timeout: 500_000 }, () => {
  before(async () => {
    const shared = await emptyFolders('imported');
    // What is imported is kept, apart from what a user has built.
    const cacheDir = join(shared.cacheDir, 'test/imported');
    await mkdir(cacheDir, { recursive: true });
    await symlink(join(shared.cacheDir, 'debs'), join(cacheDir, 'debs')).catch(() => undefined);
    lab = await Lab.open('imported', { folders: { ...shared, cacheDir } });
  });
  after(async () => {
    await lab.close();
  });

  /** A sandbox of the image in that layout. */
  async function started(
    make: (cacheDir: string) => Promise<string>,
    service?: BootSpec['service'],
  ): Promise<Guest> {
    const { cacheDir } = lab.folders;
    const { name } = await importImage(cacheDir, await make(cacheDir));
    await lab.host.createSnapshot({ tag: name, image: name, memoryMiB: MEMORY_MIB, service });
    return lab.spawn(name);
  }

  it('musl: runs programs as its user, with its variables, in its folder', async () => {
    const guest = await started(muslLayout);
    const { stdout } = await guest.exec(['whoami', 'a', 'b']);
    assert.equal(stdout, 'uid=1000 euid=1000 gid=1000 groups=50 cwd=/srv color=green args=2 last=b\n');
    assert.match((await guest.exec(['become-root'])).stdout, /^uid=1000 euid=0 /);
    assert.equal(await guest.shell('echo $HOME $PATH'), '/home/app /bin');
    assert.equal(await guest.shell('ls -A /srv'), '', 'nothing was started');
    await guest.shell('touch /srv/mine; cat /run/app/there');
    const { files } = lab.host;
    const written = await files.write(guest.id, { path: Buffer.from('by-file'), bytes: 'x' }, ownCall());
    assert.deepEqual([written.uid, await guest.shell('ls /srv')], [1000, 'by-file\nmine']);
    await files.remove(guest.id, { path: Buffer.from('/srv/by-file') }, ownCall());
    const refused = await guest.exec(['touch', '/closed/mine']);
    assert.match(refused.stderr, /Permission denied/);
    assert.equal((await guest.exec(['absent'])).exit_code, 127);
    const tag = await lab.branch(guest);
    const child = await lab.spawn(tag);
    assert.equal(await child.shell('ls /srv; id -u'), 'mine\n1000');
    await lab.end(child);
    await lab.end(guest);
  });

  it('one static program: runs it without shell, libc or users, in a folder that was not there', async () => {
    const guest = await started(singleLayout);
    const { stdout } = await guest.exec(['/whoami', 'alone']);
    assert.match(
      stdout,
      /^uid=65532 euid=65532 gid=0 groups=\S* cwd=\/made\/here color=none args=1 last=alone$/m,
    );
    assert.equal((await guest.exec(['sh', '-c', 'true'])).exit_code, 127);
    await lab.end(guest);
  });

  it('PostgreSQL without Python, captured running: each child has it, and answers of what its source held', async () => {
    const readyTimeoutMs = limitMs(120_000);
    const guest = await started(postgresLayout, { start: true, readyTimeoutMs });
    assert.notEqual((await guest.exec(['python3', '-c', '1'])).exit_code, 0);
    const [service] = await lab.host.processes.list(guest.id, ownCall());
    assert.deepEqual([service?.tag, service?.running], ['service', true]);
    const ask = (of: Guest, query: string): Promise<string> =>
      of.shell(`psql -h /tmp -At -c "${query}" postgres`);
    await ask(guest, 'create table numbers as select generate_series(1, 1000) as n');
    const child = await lab.spawn(await lab.branch(guest));
    assert.equal(await ask(child, 'select sum(n) from numbers'), '500500');
    await ask(child, 'delete from numbers');
    assert.equal(await ask(guest, 'select count(*) from numbers'), '1000');
    await lab.end(child);
    await lab.end(guest);
  });
});
