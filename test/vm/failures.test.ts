import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import {
  armFailpoint,
  armFailpoints,
  disarmFailpoints,
  firedFailpoints,
  sleep,
} from '../../src/base/index.js';
import { errorCatalogue, isBoughError } from '../../src/contract/index.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import { PAGER_LIBRARY } from '../../src/sandbox/host/open-host.js';
import { OverlayTemplates } from '../../src/sandbox/disk/overlays.js';
import {
  makeSandboxFolders,
  newId,
  overlaysDir,
  removeSandboxFolders,
  sandboxPaths,
} from '../../src/sandbox/entity/paths.js';
import { startVm } from '../../src/sandbox/entity/vm.js';
import { DEVICE_LAYOUT, probeQemu } from '../../src/vmm/index.js';
import { captureBegins } from '../support/capture-begins.js';
import { foreignSnapshot } from '../support/foreign-snapshot.js';
import { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { vmProcesses } from '../support/leftovers.js';
import { refusal, refusedWith } from '../support/refusal.js';
import { foldersWithTemplate } from '../support/template-copy.js';
import { TEMPLATE_TAG, TEST_QEMU_PATH } from '../support/test-host.js';

/** Enough private memory that a branch takes a moment. */
const makeBusy = (guest: Guest): Promise<unknown> => guest.python('memory = bytearray(b"x") * (300 << 20)');

describe('what a host refuses', { timeout: 180_000 }, () => {
  let lab: Lab;
  before(async () => {
    const folders = await foldersWithTemplate('refuse');
    await foreignSnapshot(folders, 'other-qemu', { qemuVersion: '9.9.9' });
    await foreignSnapshot(folders, 'other-machine', { machineType: 'pc-i440fx-2.1' });
    await foreignSnapshot(folders, 'other-cpu', { cpuModel: 'Nehalem' });
    await foreignSnapshot(folders, 'other-layout', { deviceLayout: 99 });
    lab = await Lab.open('refuse', { folders, maxConcurrentBranches: 2 });
  });
  afterEach(() => {
    disarmFailpoints();
    return lab.clean();
  });
  after(() => lab.close());

  /** After a refusal: the source answers, no tag is listed, no file is left. */
  const isUnharmed = async (source: Guest, tag: string): Promise<void> => {
    assert.equal(await source.python('6 * 7'), '42');
    await refusedWith('snapshot_not_found', 404, lab.host.getSnapshot(tag));
    assert.deepEqual(await lab.leftovers(), []);
  };

  it('names what does not exist: a snapshot, a sandbox, an image', async () => {
    const spawn = lab.host.spawn({ snapshotTag: 'nowhere', count: 1 });
    assert.match((await refusedWith('snapshot_not_found', 404, spawn)).message, /"nowhere"/);
    const branch = lab.host.branch('nobody', { mode: 'live', wait: 'ready' });
    assert.match((await refusedWith('sandbox_not_found', 404, branch)).message, /"nobody"/);
    const create = lab.host.createSnapshot({ tag: 'made', image: 'no-such-image' });
    assert.match((await refusedWith('image_not_found', 404, create)).message, /"no-such-image"/);
  });

  it('takes a tag once', async () => {
    const source = await lab.spawn();
    await refusedWith('tag_exists', 409, lab.branch(source, { tag: TEMPLATE_TAG }));
    assert.equal(await source.python('6 * 7'), '42');
    assert.deepEqual(await lab.leftovers(), []);
  });

  it('branches a sandbox once at a time; the branch under way is not disturbed', async () => {
    const source = await lab.spawn();
    await makeBusy(source);
    const wanted = lab.branch(source, { tag: 'wanted' });
    await refusedWith('branch_in_progress', 409, lab.branch(source, { tag: 'unwanted' }));
    const child = await lab.spawn(await wanted);
    assert.equal(await child.python('len(memory)'), String(300 << 20));
    await isUnharmed(source, 'unwanted');
  });

  it('branches no more sandboxes at once than the limit', async () => {
    const sources = [await lab.spawn(), await lab.spawn()];
    const source = await lab.spawn();
    await Promise.all(sources.map(makeBusy));
    const wanted = sources.map((busy) => lab.branch(busy));
    const tooMany = await refusedWith('too_many_branches', 503, lab.branch(source, { tag: 'unwanted' }));
    assert.deepEqual(tooMany.details, { limit: 2 });
    await Promise.all(wanted);
    await isUnharmed(source, 'unwanted');
  });

  for (const [tag, field] of [
    ['other-qemu', 'QEMU version'],
    ['other-machine', 'machine type'],
    ['other-cpu', 'CPU model'],
    ['other-layout', 'device layout'],
  ] as const) {
    it(`does not start a snapshot of another ${field}`, async () => {
      const refused = await refusedWith('snapshot_incompatible', 409, lab.spawn(tag));
      assert.equal(refused.details['field'], field);
      assert.deepEqual(await vmProcesses(lab.folders.hotDir), []);
      assert.equal(
        existsSync(join(lab.folders.hotDir, 'snapshots', tag)),
        false,
        'it was loaded all the same',
      );
    });
  }

  it('leaves nothing of a branch that is wanted durable when the disk fails, and what others use by then', async () => {
    const source = await lab.spawn();
    const durable = { mode: 'live', wait: 'durable' } as const;
    armFailpoints('persist.synced=errno:EIO');
    const refused = await refusedWith('not_durable', 500, lab.branch(source, { ...durable, tag: 'wanted' }));
    assert.match(refused.message, /"wanted".*EIO/);
    await isUnharmed(source, 'wanted');
    assert.equal((await lab.host.getSnapshot(await lab.branch(source, durable))).durable, true);

    let child: Guest | undefined;
    armFailpoint('persist.synced', async () => {
      child = await lab.spawn('used');
      throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
    });
    await refusedWith('not_durable', 500, lab.branch(source, { ...durable, tag: 'used' }));
    assert.equal(await child?.python('6 * 7'), '42');
    const used = await lab.host.getSnapshot('used');
    assert.deepEqual([used.status, used.durable], ['ready', false]);
    assert.match(used.warning ?? '', /would not survive power loss/);
  });

  it('answers with the snapshot also when the source cannot be noted to have been branched', async () => {
    const source = await lab.spawn();
    armFailpoints('record.changed=errno:ENOSPC');
    const child = await lab.spawn(await lab.branch(source));
    assert.equal(await child.python('6 * 7'), '42');
    assert.equal((await lab.host.getSandbox(source.id)).branchCount, 1);
    await lab.branch(source);
    assert.equal((await lab.host.getSandbox(source.id)).branchCount, 2);
  });

  it('leaves no child of a spawn whose caller has gone', async () => {
    const caller = new AbortController();
    armFailpoint('spawn.running', () => caller.abort(new Error('gone')), 2);
    const call = { ...ownCall(), signal: caller.signal };
    await assert.rejects(lab.host.spawn({ snapshotTag: TEMPLATE_TAG, count: 3 }, call), /gone/);
    assert.deepEqual(await lab.host.listSandboxes(), []);
    assert.deepEqual(await vmProcesses(lab.folders.hotDir), []);
    assert.deepEqual(await lab.leftovers(), []);
  });

  it('does not start a guest in a QEMU that is another than the daemon found when it started', async () => {
    const paths = sandboxPaths(lab.folders, newId());
    await makeSandboxFolders(paths);
    const overlay = {
      id: newId(),
      format: 'qcow2',
      path: join(paths.stateDir, 'disk', 'overlay.qcow2'),
    } as const;
    await new OverlayTemplates(overlaysDir(lab.folders)).create(overlay.path, 1 << 20);
    const qemu = await probeQemu(TEST_QEMU_PATH);
    const machine = { ...qemu, qemuVersion: qemu.version, accel: 'tcg', cpuModel: 'max', vcpus: 1 } as const;
    const start = startVm(
      { qemu: { ...qemu, version: '9.9.9' }, pagerLibrary: PAGER_LIBRARY, gateLibrary: '/none' },
      {
        ...{ paths, overlay, layers: [], disks: [], diskBytes: 1 << 20, agentPort: 1024 },
        machine: { ...machine, memoryMiB: 64, deviceLayout: DEVICE_LAYOUT },
        from: { deviceState: '/nowhere' },
      },
    );
    assert.match((await refusedWith('vmm_failed', 500, start)).message, /is version \d.* now, not 9\.9\.9/);
    assert.deepEqual(await vmProcesses(lab.folders.hotDir), []);
    await removeSandboxFolders(paths);
  });

  it('gives up on an agent that does not answer; the sandbox can still be branched and removed', async () => {
    const source = await lab.spawn();
    const stop = { args: ['sh', '-c', 'kill -STOP $PPID'], timeoutMs: 1000 };
    const refused = await refusal(lab.host.exec(source.id, stop));
    assert(refused.status === 504 || refused.status === 502, refused.message);
    assert.equal((await lab.host.getSandbox(source.id)).state, 'running');
    assert.equal(await lab.settled(await lab.branch(source)), 'ready');
  });

  it('fails a branch that cannot be linked to what it stands on, however late that shows, and leaves nothing of it', async () => {
    const source = await lab.spawn();
    const lateFailure = async (): Promise<never> => {
      await sleep(500);
      throw new Error('no link today');
    };
    armFailpoint('draft.disks-linked', lateFailure);
    await assert.rejects(lab.branch(source, { tag: 'unlinked' }), /no link today/);
    assert.deepEqual(firedFailpoints(), ['draft.disks-linked']);
    await isUnharmed(source, 'unlinked');

    disarmFailpoints();
    armFailpoint('draft.disks-linked', lateFailure);
    const given = await lab.host.branch(source.id, { mode: 'live', wait: 'running', tag: 'unlinked' });
    assert.equal(given.status, 'writing');
    assert.equal(await lab.settled('unlinked'), 'failed');
    await lab.host.deleteSnapshot('unlinked', { cascade: false, force: false });
    await isUnharmed(source, 'unlinked');

    // What fails before is not cleaned up while links are still being made.
    disarmFailpoints();
    armFailpoints('draft.layers-linked=delay:500,branch.requested=error');
    await assert.rejects(lab.branch(source, { tag: 'unlinked' }), /Failed on purpose/);
    await isUnharmed(source, 'unlinked');
    disarmFailpoints();
    assert.equal(await lab.settled(await lab.branch(source)), 'ready');
  });

  it('fails a branch whose VMM dies, tells why, and lets the sandbox be removed', async () => {
    const source = await lab.spawn();
    const { pid } = await lab.host.getSandbox(source.id);
    assert(pid !== undefined);
    await makeBusy(source);
    const branching = refusal(lab.branch(source, { tag: 'unfinished' }));
    await captureBegins(lab.folders.hotDir, branching);
    process.kill(pid, 'SIGKILL');

    const { code, status } = await branching;
    assert.deepEqual([code, status], ['source_died', 500]);
    const { state, stateReason: reason } = await lab.host.getSandbox(source.id);
    assert.equal(state, 'failed');
    assert.match(reason ?? '', /SIGKILL/);
    await refusedWith('snapshot_not_found', 404, lab.host.getSnapshot('unfinished'));
    await refusedWith('sandbox_not_running', 409, lab.branch(source, { tag: 'again' }));
    assert.deepEqual(await lab.leftovers(), []);
  });

  it('fails with the source until the capture is complete, and not after; others do not notice', async () => {
    const bystander = await lab.spawn();
    for (const [place, diskBytes] of [
      ['draft.reserved', 0],
      ['draft.reserved', 3_000_000],
      ['branch.prepared', 3_000_000],
      ['branch.captured', 0],
    ] as const) {
      const source = await lab.spawn();
      // So much that the disk has to be switched.
      await source.shell(`head -c ${diskBytes} /dev/urandom > /root/big; sync`);
      const { pid } = await lab.host.getSandbox(source.id);
      armFailpoint(place, () => process.kill(pid ?? 0, 'SIGKILL'));
      const branching = lab.branch(source, { tag: 'unfinished' });
      if (place === 'branch.captured') {
        assert.equal(await (await lab.spawn(await branching)).python('6 * 7'), '42');
      } else {
        const { message } = await refusedWith('source_died', 500, branching);
        assert.match(message, /its VMM was ended by SIGKILL/);
        await refusedWith('snapshot_not_found', 404, lab.host.getSnapshot('unfinished'));
      }
      assert.deepEqual(firedFailpoints(), [place], 'the place was not reached');
      disarmFailpoints();
      assert.deepEqual(await lab.leftovers(), []);
    }
    assert.equal(await bystander.python('6 * 7'), '42');
  });

  it('a child whose VMM dies anywhere on its way is an error and no more', async () => {
    for (const place of ['spawn.mapped', 'spawn.loaded', 'spawn.running', 'spawn.identified']) {
      armFailpoint(place, async () => {
        for (const { pid } of await vmProcesses(lab.folders.hotDir)) process.kill(pid, 'SIGKILL');
        await sleep(100);
      });
      const outcome = await lab.spawn().then(
        ({ id }) => id,
        (error: unknown) => error,
      );
      assert.deepEqual(firedFailpoints(), [place]);
      disarmFailpoints();
      // Known as a child by then, it is one that has failed.
      if (place === 'spawn.identified') await lab.end(Guest.ofHost(lab.host, String(outcome)));
      else assert((outcome as { code: string }).code in errorCatalogue, String(outcome));
      assert.deepEqual(await vmProcesses(lab.folders.hotDir), []);
      assert.deepEqual(await lab.leftovers(), []);
    }
  });

  it('a child whose VMM dies while it starts: of a fork the others run, of a spawn none is left', async () => {
    const source = await lab.spawn();
    /** At once, so that no child has come further: one that waits here, or one that is not that far. */
    const killOneBut = (others: readonly (number | undefined)[]) => (): void => {
      const vmm = readdirSync('/proc').find(
        (pid) => /^\d+$/.test(pid) && !others.includes(Number(pid)) && isVmm(pid),
      );
      process.kill(Number(vmm), 'SIGKILL');
    };
    const isVmm = (pid: string): boolean => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`${lab.folders.hotDir}/sandboxes/`);
      } catch {
        return false;
      }
    };
    const listed = (): Promise<(number | undefined)[]> =>
      lab.host.listSandboxes().then((sandboxes) => sandboxes.map(({ pid }) => pid));

    armFailpoint('spawn.started', killOneBut(await listed()));
    const { children } = await lab.host.fork(source.id, { branch: { mode: 'live' }, count: 3 });
    const started = children.flatMap((child) => ('sandbox' in child ? [child.sandbox.id] : []));
    const failed = children.flatMap((child) =>
      'error' in child && isBoughError(child.error) ? [child.error.code] : [],
    );
    assert.deepEqual([started.length, failed], [2, ['vmm_failed']]);
    for (const id of started) assert.equal(await Guest.ofHost(lab.host, id).python('6 * 7'), '42');

    armFailpoint('spawn.started', killOneBut(await listed()));
    await refusedWith('vmm_failed', 500, lab.host.spawn({ snapshotTag: TEMPLATE_TAG, count: 3 }));
    const running = (await lab.host.listSandboxes()).map(({ id }) => id);
    assert.deepEqual(running.sort(), [source.id, ...started].sort());
    assert.equal((await vmProcesses(lab.folders.hotDir)).length, 3);
    assert.deepEqual(await lab.leftovers(), []);
  });
});
