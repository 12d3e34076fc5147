import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { after, afterEach, before, describe, it } from 'node:test';
import { armFailpoints, disarmFailpoints, sleep } from '../../src/base/index.js';
import { QmpClient } from '../../src/qmp/index.js';
import { CHAIN_LIMIT } from '../../src/sandbox/disk/fold.js';
import type { LocalHost } from '../../src/sandbox/host/local-host.js';
import { openHost } from '../../src/sandbox/host/open-host.js';
import { readRecord, writeRecord, type SandboxRecord } from '../../src/sandbox/entity/record.js';
import { giveFile } from '../../src/sandbox/entity/vmm-files.js';
import { captureBegins } from '../support/capture-begins.js';
import { assertDiskFiles } from '../support/disk-files.js';
import { FakePager } from '../support/fake-pager.js';
import { Guest } from '../support/guest.js';
import { vmProcesses } from '../support/leftovers.js';
import { foldersWithTemplate, type OwnFolders } from '../support/template-copy.js';
import { TEMPLATE_TAG } from '../support/test-host.js';
import { limitMs } from '../support/time-limit.js';

describe('openHost() over what an earlier daemon left', { timeout: limitMs(300_000) }, () => {
  let folders: OwnFolders;
  let lab: { host: LocalHost };
  before(async () => {
    folders = await foldersWithTemplate('adopt');
    lab = { host: await open() };
  });
  afterEach(async () => {
    for (const { id } of await lab.host.listSandboxes()) await lab.host.removeSandbox(id);
    for (const { tag } of await lab.host.listSnapshots()) {
      if (tag !== TEMPLATE_TAG) await lab.host.deleteSnapshot(tag, { cascade: false, force: true });
    }
    assert.deepEqual(await vmProcesses(folders.hotDir), []);
    assert.deepEqual(await readdir(join(folders.stateDir, 'sandboxes')), []);
    assert.deepEqual(await readdir(join(folders.hotDir, 'sandboxes')), []);
  });
  after(async () => {
    await lab.host.close();
    await folders.remove();
  });

  const open = (): Promise<LocalHost> =>
    openHost({ ...folders, maxConcurrentBranches: 4, emit: () => undefined });
  const spawnGuest = async (tag = TEMPLATE_TAG): Promise<Guest> => {
    const [sandbox] = await lab.host.spawn({ snapshotTag: tag, count: 1 });
    assert(sandbox);
    return Guest.ofHost(lab.host, sandbox.id);
  };
  const branch = async ({ id }: Guest): Promise<string> =>
    (await lab.host.branch(id, { mode: 'live', wait: 'ready' })).tag;
  const stateDirOf = (id: string): string => join(folders.stateDir, 'sandboxes', id);
  const recordOf = (id: string): Promise<SandboxRecord> => readRecord(join(stateDirOf(id), 'record.json'));
  const changeRecord = async (id: string, changes: Partial<SandboxRecord>): Promise<void> =>
    writeRecord(join(stateDirOf(id), 'record.json'), { ...(await recordOf(id)), ...changes });
  const disksOf = async (id: string): Promise<string[]> =>
    (await readdir(join(stateDirOf(id), 'disk'))).sort();

  /** Ends this daemon, does something behind its back, starts the next one. */
  async function whileNoDaemonRuns(work: () => Promise<void>): Promise<void> {
    await lab.host.close();
    await work();
    lab.host = await open();
  }

  async function withQmp(id: string, work: (qmp: QmpClient) => Promise<void>): Promise<void> {
    const qmp = await QmpClient.connect(join(folders.hotDir, 'sandboxes', id, 'qmp'));
    try {
      await work(qmp);
    } finally {
      await qmp.close();
    }
  }

  /** What a branch does before its switch. */
  async function addNextOverlay(qmp: QmpClient, id: string): Promise<void> {
    const overlays = join(folders.stateDir, 'overlays');
    const [template = ''] = await readdir(overlays);
    const path = join(stateDirOf(id), 'disk', 'overlay1.qcow2');
    await copyFile(join(overlays, template), path);
    const { user } = (await recordOf(id)).process ?? {};
    if (user !== undefined) await giveFile(path, user);
    await qmp.execute('blockdev-add', {
      driver: 'qcow2',
      'node-name': 'overlay1',
      file: { driver: 'file', 'node-name': 'overlay1-file', filename: path },
      backing: null,
    });
  }

  it('notes a switch of the disk that the daemon before did not live to note', async () => {
    const { id } = await spawnGuest();
    await Guest.ofHost(lab.host, id).shell('echo before > /root/note; sync');
    const { overlay, overlayNode } = await recordOf(id);
    await whileNoDaemonRuns(() =>
      withQmp(id, async (qmp) => {
        await addNextOverlay(qmp, id);
        await qmp.execute('blockdev-snapshot', { node: overlayNode, overlay: 'overlay1' });
      }),
    );
    const now = await recordOf(id);
    assert.deepEqual(now.disks.at(-1), overlay);
    assert.deepEqual([now.overlayNode, now.switchCount], ['overlay1', 1]);

    const source = Guest.ofHost(lab.host, id);
    await source.shell('head -c 3000000 /dev/urandom > /root/big; sync');
    const child = await spawnGuest(await branch(source));
    assert.equal(await child.shell('cat /root/note; stat -c %s /root/big'), 'before\n3000000');
  });

  it('removes a next overlay that was prepared and never used', async () => {
    const { id } = await spawnGuest();
    const disksBefore = await disksOf(id);
    const before = await recordOf(id);
    await whileNoDaemonRuns(() => withQmp(id, (qmp) => addNextOverlay(qmp, id)));
    assert.deepEqual(await disksOf(id), disksBefore);
    assert.deepEqual(await recordOf(id), before);
    const source = Guest.ofHost(lab.host, id);
    await source.shell('head -c 3000000 /dev/urandom > /root/big; sync');
    await branch(source);
    assert.equal((await recordOf(id)).overlayNode, 'overlay1');
  });

  it('goes on with a fold of the disk that was under way, and reads what was written', async () => {
    const source = await spawnGuest();
    for (let index = 0; index < CHAIN_LIMIT; index++) {
      await source.shell(
        `head -c 2097152 /dev/urandom > /root/f${index}; sync; sha256sum /root/f${index} >> /root/sums`,
      );
      await branch(source);
    }
    await whileNoDaemonRuns(() => Promise.resolve());
    let record = await recordOf(source.id);
    while (record.disks.length >= CHAIN_LIMIT) {
      await sleep(50);
      record = await recordOf(source.id);
    }
    const again = Guest.ofHost(lab.host, source.id);
    await again.shell('echo 3 > /proc/sys/vm/drop_caches; sha256sum -c /root/sums');
    const child = await spawnGuest(await branch(again));
    await child.shell('sha256sum -c /root/sums');
    record = await recordOf(source.id);
    await assertDiskFiles(stateDirOf(source.id), record);
  });

  it('numbers branches on from those that its snapshots tell of, where the record has not heard of them', async () => {
    const source = await spawnGuest();
    const kept = { mode: 'live', wait: 'ready', retention: { keepLast: 5 } } as const;
    const ordinal = async (): Promise<number | undefined> =>
      (await lab.host.branch(source.id, kept)).retention?.ordinal;
    assert.deepEqual([await ordinal(), await ordinal(), await ordinal()], [1, 2, 3]);
    await whileNoDaemonRuns(() => changeRecord(source.id, { branchCount: 1 }));
    assert.equal(await ordinal(), 4);
  });

  it('kills the VMM of a sandbox that nobody was told of, and the VMM whose folders are gone', async () => {
    const untold = await spawnGuest();
    const orphan = await spawnGuest();
    await whileNoDaemonRuns(async () => {
      await changeRecord(untold.id, { process: undefined });
      await rm(stateDirOf(orphan.id), { recursive: true });
      await rm(join(folders.hotDir, 'sandboxes', orphan.id), { recursive: true });
    });
    assert.deepEqual(await lab.host.listSandboxes(), []);
    assert.deepEqual(await vmProcesses(folders.hotDir), []);
  });

  it('lists a sandbox whose VMM is gone as failed, with the reason, until it is deleted', async () => {
    const { id } = await spawnGuest();
    const { pid } = await lab.host.getSandbox(id);
    await whileNoDaemonRuns(async () => {
      process.kill(pid ?? 0, 'SIGKILL');
      while ((await vmProcesses(folders.hotDir)).length > 0) await sleep(10);
    });
    const dead = await lab.host.getSandbox(id);
    assert.deepEqual([dead.state, dead.pid], ['failed', undefined]);
    assert.equal(dead.stateReason, 'its VMM ended while no daemon ran');
    await assert.rejects(lab.host.ping(id), { code: 'sandbox_not_running' });
    await assert.rejects(lab.host.branch(id, { mode: 'live', wait: 'ready' }), {
      code: 'sandbox_not_running',
    });
    await whileNoDaemonRuns(() => Promise.resolve());
    assert.equal((await lab.host.getSandbox(id)).state, 'failed');
    await lab.host.removeSandbox(id);
    assert.deepEqual(await lab.host.listSandboxes(), []);
  });

  it('leaves a VMM alone that says nothing, and takes it over once it answers; removed, it is gone', async () => {
    const source = await spawnGuest();
    const unwanted = await spawnGuest();
    const pidOf = async ({ id }: Guest): Promise<number> => (await lab.host.getSandbox(id)).pid ?? 0;
    const [sourcePid, unwantedPid] = [await pidOf(source), await pidOf(unwanted)];
    await whileNoDaemonRuns(() => {
      for (const pid of [sourcePid, unwantedPid]) process.kill(pid, 'SIGSTOP');
      return Promise.resolve();
    });
    const silent = await lab.host.getSandbox(source.id);
    assert.deepEqual([silent.state, silent.pid], ['unresponsive', sourcePid]);
    await assert.rejects(lab.host.ping(source.id), { code: 'sandbox_not_running' });
    await assert.rejects(lab.host.branch(source.id, { mode: 'live', wait: 'ready' }), {
      code: 'sandbox_not_running',
    });
    await lab.host.removeSandbox(unwanted.id);
    assert.deepEqual(
      (await vmProcesses(folders.hotDir)).map(({ pid }) => pid),
      [sourcePid],
    );

    process.kill(sourcePid, 'SIGCONT');
    while ((await lab.host.getSandbox(source.id)).state !== 'running') await sleep(50);
    const again = Guest.ofHost(lab.host, source.id);
    await again.shell('echo here > /root/note; sync');
    const child = await spawnGuest(await branch(again));
    assert.equal(await child.shell('cat /root/note'), 'here');
  });

  it('gives up on a branch whose VMM is stopped in it; the sandbox is back once the VMM goes on', async () => {
    const source = await spawnGuest();
    await source.shell('head -c 3000000 /dev/urandom > /root/big; sha256sum /root/big > /root/sum; sync');
    await source.python('memory = bytearray(b"x") * (150 << 20)');
    const { pid } = await lab.host.getSandbox(source.id);
    const branching = lab.host.branch(source.id, { mode: 'live', wait: 'ready', tag: 'stopped' });
    const refused = assert.rejects(branching, { code: 'vmm_failed', message: /has been stopped/ });
    await captureBegins(folders.hotDir, branching);
    process.kill(pid ?? 0, 'SIGSTOP');
    await refused;
    const silent = await lab.host.getSandbox(source.id);
    assert.deepEqual([silent.state, silent.pid], ['unresponsive', pid]);
    assert.match(silent.stateReason ?? '', /has been stopped/);
    await assert.rejects(lab.host.getSnapshot('stopped'), { code: 'snapshot_not_found' });

    process.kill(pid ?? 0, 'SIGCONT');
    while ((await lab.host.getSandbox(source.id)).state !== 'running') await sleep(50);
    await source.shell('sha256sum -c /root/sum');
    const child = await spawnGuest(await branch(source));
    await child.shell('sha256sum -c /root/sum');
    assert.equal(await child.python('len(memory)'), String(150 << 20));
  });

  it('serves a sandbox whose pager another version of bough started, and only refuses to branch it', async () => {
    const source = await spawnGuest();
    const socket = join(folders.hotDir, 'sandboxes', source.id, 'pager');
    const hello = 'ok\tversion=1\tpage_bytes=4096\ttracking=async';
    let older: FakePager | undefined;
    await whileNoDaemonRuns(async () => {
      await rename(socket, `${socket}.kept`);
      older = await FakePager.listen(socket, () => [hello]);
    });
    assert(older);
    try {
      const { state, warning } = await lab.host.getSandbox(source.id);
      assert.deepEqual([state, warning?.includes('cannot be branched')], ['running', true]);
      const again = Guest.ofHost(lab.host, source.id);
      assert.equal(await again.shell('echo here'), 'here');
      assert.equal(await again.python('6 * 7'), '42');
      for (const mode of ['live', 'diff', 'full'] as const)
        await assert.rejects(lab.host.branch(source.id, { mode, wait: 'ready' }), {
          code: 'sandbox_outdated',
          message: /protocol 1 where this one speaks 2/,
        });
      assert.deepEqual(older.received, ['hello']);
      assert.deepEqual(
        (await lab.host.listSnapshots()).map(({ tag }) => tag),
        [TEMPLATE_TAG],
      );
      await lab.host.removeSandbox(source.id);
      assert.deepEqual(await lab.host.listSandboxes(), []);
    } finally {
      await older.close();
    }
  });

  it('reaches the guest of a VM that an earlier version started at the port that its record names', async () => {
    const source = await spawnGuest();
    const socket = join(folders.hotDir, 'sandboxes', source.id, 'agent');
    const forwarded = createServer({ allowHalfOpen: true }, (client) => {
      const agent = connect({ path: `${socket}.kept`, allowHalfOpen: true });
      pipeline(client, agent, () => undefined);
      pipeline(agent, client, () => undefined);
    }).listen(0, '127.0.0.1');
    await once(forwarded, 'listening');
    const { port } = forwarded.address() as AddressInfo;
    await whileNoDaemonRuns(async () => {
      await rename(socket, `${socket}.kept`);
      const { process, ...record } = await recordOf(source.id);
      assert(process);
      const earlier = { ...record, version: 1, process: { ...process, agentHostPort: port } };
      await writeFile(join(stateDirOf(source.id), 'record.json'), JSON.stringify(earlier));
    });
    try {
      const { agentAddr } = await lab.host.getSandbox(source.id);
      assert.equal(agentAddr, `127.0.0.1:${port}`);
      const again = Guest.ofHost(lab.host, source.id);
      assert.equal(await again.shell('echo here'), 'here');
      await branch(again);
      await whileNoDaemonRuns(() => Promise.resolve());
      assert.equal(await Guest.ofHost(lab.host, source.id).python('6 * 7'), '42');
    } finally {
      forwarded.close();
    }
  });

  it('leaves a VMM alone that it cannot adopt, and says why, until it can', async () => {
    const source = await spawnGuest();
    const { pid } = await lab.host.getSandbox(source.id);
    await whileNoDaemonRuns(() => {
      armFailpoints('adopt.reconciled=errno:ENOSPC');
      return Promise.resolve();
    });
    disarmFailpoints();
    const { state, stateReason: reason } = await lab.host.getSandbox(source.id);
    assert.equal(state, 'unresponsive');
    assert.match(reason ?? '', /ENOSPC/);
    while ((await lab.host.getSandbox(source.id)).state !== 'running') await sleep(50);
    assert.equal((await lab.host.getSandbox(source.id)).pid, pid);
    assert.equal(await Guest.ofHost(lab.host, source.id).python('6 * 7'), '42');
  });

  it('refuses to start, and touches nothing, when a record cannot be read just now, or the state is not there', async () => {
    const { id } = await spawnGuest();
    const { pid } = await lab.host.getSandbox(id);
    const record = join(stateDirOf(id), 'record.json');
    const sandboxes = join(folders.stateDir, 'sandboxes');
    await whileNoDaemonRuns(async () => {
      await rename(record, `${record}.kept`);
      await mkdir(record);
      await assert.rejects(open(), { code: 'EISDIR' });
      await rmdir(record);
      await rename(`${record}.kept`, record);

      await rename(sandboxes, `${sandboxes}.kept`);
      await assert.rejects(open(), /knows of no sandbox: is it the right folder, and mounted/);
      await rename(`${sandboxes}.kept`, sandboxes);
    });
    assert.equal((await lab.host.getSandbox(id)).pid, pid);
    assert.equal(await Guest.ofHost(lab.host, id).python('6 * 7'), '42');
  });

  it('does not wait for ever at its end for a branch of a VMM that is stopped; the VMM outlives it', async () => {
    const source = await spawnGuest();
    const { pid } = await lab.host.getSandbox(source.id);
    process.kill(pid ?? 0, 'SIGSTOP');
    const refused = assert.rejects(lab.host.branch(source.id, { mode: 'live', wait: 'ready', tag: 'late' }));
    await sleep(200);
    await whileNoDaemonRuns(async () => {
      await refused;
      process.kill(pid ?? 0, 'SIGCONT');
    });
    assert.equal((await lab.host.getSandbox(source.id)).state, 'running');
    assert.deepEqual(
      (await lab.host.listSnapshots()).map(({ tag }) => tag),
      [TEMPLATE_TAG],
    );
    await branch(Guest.ofHost(lab.host, source.id));
  });

  it('never touches a process that has the pid by chance', async () => {
    const { id } = await spawnGuest();
    const stranger = spawn('sleep', ['60']);
    const { pid: qemuPid } = await lab.host.getSandbox(id);
    await whileNoDaemonRuns(async () => {
      const { process } = await recordOf(id);
      assert(process);
      await changeRecord(id, { process: { ...process, pid: stranger.pid ?? 0 } });
    });
    assert.equal(stranger.exitCode, null);
    assert.equal((await lab.host.getSandbox(id)).state, 'failed');
    assert(qemuPid);
    assert.deepEqual(await vmProcesses(folders.hotDir), []);
    stranger.kill('SIGKILL');
    await once(stranger, 'exit');
  });

  it('puts a sandbox whose record is damaged into quarantine, and the others live on', async () => {
    const damaged = await spawnGuest();
    const other = await spawnGuest();
    await whileNoDaemonRuns(() => writeFile(join(stateDirOf(damaged.id), 'record.json'), '{"version": 1, '));
    assert.deepEqual(
      (await lab.host.listSandboxes()).map(({ id }) => id),
      [other.id],
    );
    assert.equal((await vmProcesses(folders.hotDir)).length, 1);
    const kept = join(folders.stateDir, 'quarantine', `sandbox-${damaged.id}`);
    assert.match(await readFile(join(kept, 'record.json'), 'utf8'), /version/);
    await rm(kept, { recursive: true });
  });

  it('refuses a state directory with a record of a later version', async () => {
    const id = 'fromthefuture000';
    await lab.host.close();
    await mkdir(stateDirOf(id), { recursive: true });
    await writeFile(join(stateDirOf(id), 'record.json'), '{"version": 3}');
    await assert.rejects(open(), /version 3, this bough knows up to 2/);
    await rm(stateDirOf(id), { recursive: true });
    lab.host = await open();
  });
});
