import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { readRecord } from '../../src/sandbox/entity/record.js';
import type { LocalHost } from '../../src/sandbox/host/local-host.js';
import { openHost } from '../../src/sandbox/host/open-host.js';
import { Guest } from '../support/guest.js';
import { vmProcesses } from '../support/leftovers.js';
import { foldersWithTemplate, type OwnFolders } from '../support/template-copy.js';
import { TEMPLATE_TAG } from '../support/test-host.js';
import { limitMs } from '../support/time-limit.js';

/** A daemon that dies while it branches: prints its sandbox's id, dirties the guest, and is killed by whoever started it. */
const DOOMED_DAEMON = `
  const { openHost } = await import(process.argv[1]);
  const host = await openHost({ ...JSON.parse(process.argv[2]), emit: () => undefined });
  const [{ id }] = await host.spawn({ snapshotTag: process.argv[3], count: 1 });
  await host.evaluate(id, { code: 'memory = bytearray(b"x") * (150 << 20)', timeoutMs: ${limitMs(60_000)} });
  await host.exec(id, { args: ['sh', '-c', 'head -c 3000000 /dev/urandom > /root/big; sync'], timeoutMs: ${limitMs(60_000)} });
  process.stdout.write(id);
  await host.branch(id, { mode: 'live', wait: 'ready', tag: 'doomed' });`;

describe('a guest whose daemon is killed in its branch', { timeout: limitMs(180_000) }, () => {
  let folders: OwnFolders;
  let host: LocalHost;
  before(async () => {
    folders = await foldersWithTemplate('doomed');
  });
  after(async () => {
    await host.close();
    await folders.remove();
  });

  /** A guest with 150 MiB in memory and a file of 3 MB, whose daemon was killed when its branch had made the next overlay. */
  async function orphan(): Promise<string> {
    const openHostModule = new URL('../../src/sandbox/host/open-host.js', import.meta.url).href;
    const options = JSON.stringify({ ...folders, maxConcurrentBranches: 4 });
    const args = ['--input-type=module', '-e', DOOMED_DAEMON, openHostModule, options, TEMPLATE_TAG];
    const daemon = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [told] = (await once(daemon.stdout, 'data')) as [Buffer];
    const id = told.toString();
    const next = join(folders.stateDir, 'sandboxes', id, 'disk', 'overlay1.qcow2');
    while (!existsSync(next)) await sleep(1);
    daemon.kill('SIGKILL');
    await once(daemon, 'exit');
    return id;
  }

  it('is adopted by the next, which waits for the branch; it goes on from what QEMU has, and has children', async () => {
    const id = await orphan();
    host = await openHost({ ...folders, maxConcurrentBranches: 4, emit: () => undefined });
    const dir = join(folders.stateDir, 'sandboxes', id);
    const record = await readRecord(join(dir, 'record.json'));
    assert.deepEqual(
      (await readdir(join(dir, 'disk'))).sort(),
      [...record.disks, record.overlay].map(({ path }) => basename(path)).sort(),
    );
    assert.deepEqual(
      (await host.listSnapshots()).map(({ tag }) => tag),
      [TEMPLATE_TAG],
    );
    const source = Guest.ofHost(host, id);
    const { tag } = await host.branch(id, { mode: 'live', wait: 'ready' });
    const [sandbox] = await host.spawn({ snapshotTag: tag, count: 1 });
    assert(sandbox);
    const child = Guest.ofHost(host, sandbox.id);
    assert.equal(await child.python('len(memory)'), String(150 << 20));
    assert.equal(await child.shell('sha256sum < /root/big'), await source.shell('sha256sum < /root/big'));
    for (const each of [sandbox.id, id]) await host.removeSandbox(each);
    assert.deepEqual(await vmProcesses(folders.hotDir), []);
  });
});
