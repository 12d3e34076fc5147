/** Over folders that look like the kernel's; what the kernel makes of it is for test/vm. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { MiB } from '../../base/index.js';
import { checkCgroups } from '../host/check-isolation.js';
import type { Cgroup } from './cgroup.js';
import { Cgroups } from './cgroups.js';

const limits = { memoryBytes: 512 * MiB, vcpus: 2 };
const PID = 7;

/** The kernel's files are gone with their folder, and these have to be taken out. */
async function removed(group: Cgroup, folders: readonly string[]): Promise<void> {
  for (const folder of folders) for (const name of await readdir(folder)) await rm(join(folder, name));
  await group.remove();
  await group.remove();
}

for (const { version, own, moved, files, memory, pids, limit, stat, kills } of [
  {
    version: 1,
    own: '9:name=systemd:/\n8:pids:/\n5:devices:/\n4:memory:/service\n3:cpu,cpuacct:/\n0::/\n',
    moved: '8:pids:/user\n4:memory:/user\n',
    files: ['memory/service/tasks', 'pids/tasks'],
    ...{ memory: 'memory/service/bough-test/one', pids: 'pids/bough-test/one' },
    limit: 'memory.limit_in_bytes',
    stat: 'shmem 7\ntotal_cache 3\ntotal_shmem 1048576\n',
    kills: ['memory.oom_control', 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n'],
  },
  {
    version: 2,
    own: '0::/system.slice/bough.service\n',
    moved: '0::/user.slice/session\n',
    files: ['cgroup.controllers', 'system.slice/cgroup.subtree_control'],
    ...{ memory: 'system.slice/bough-test/one', pids: 'system.slice/bough-test/one' },
    limit: 'memory.max',
    stat: 'anon 5\nshmem 1048576\nshmem_thp 9\n',
    kills: ['memory.events', 'low 0\noom 3\noom_kill 1\noom_group_kill 0\n'],
  },
] as const) {
  describe(`cgroups of version ${version}`, () => {
    let mount = '';
    let cgroups: Cgroups;
    beforeEach(async () => {
      mount = await mkdtemp(join(tmpdir(), 'bough-cgroup-'));
      for (const file of files) {
        await mkdir(join(mount, file, '..'), { recursive: true });
        await writeFile(join(mount, file), '');
      }
      await mkdir(join(mount, memory), { recursive: true });
      await writeFile(join(mount, memory, 'memory.stat'), '');
      cgroups = over(own);
    });
    afterEach(() => rm(mount, { recursive: true }));

    /** Those of a daemon that is in these groups itself. */
    const over = (daemon: string): Cgroups =>
      new Cgroups('bough-test', {
        mount,
        groupsOf: (pid) => Promise.resolve(pid === 'self' ? daemon : vmm),
      });
    const [vmmMemory, vmmPids] = [memory, pids].map((path) => path.replace(/^(memory|pids)(?=\/)/, ''));
    const vmm = version === 1 ? `8:pids:${vmmPids}\n4:memory:${vmmMemory}\n` : `0::/${vmmMemory}\n`;

    const read = (path: string): Promise<string> => readFile(join(mount, path), 'utf8');

    it('hold a VMM to so much memory and so many threads, in groups that it enters by itself', async () => {
      const group = await cgroups.make('one', limits);
      assert.equal(await read(`${memory}/${limit}`), String(512 * MiB));
      assert.equal(await read(`${pids}/pids.max`), '258');
      const entrances = [...new Set([memory, pids])].map((folder) => join(mount, folder, 'cgroup.procs'));
      assert.deepEqual(group.entrances, entrances);
      if (version === 2)
        for (const folder of ['system.slice', 'system.slice/bough-test'])
          assert.equal(await read(`${folder}/cgroup.subtree_control`), '+memory +pids');
    });

    it('count no layer that the VMM has written, and leave room for one that it is about to', async () => {
      const group = await cgroups.make('one', limits);
      await writeFile(join(mount, memory, 'memory.stat'), stat);
      await group.makeRoom(64 * MiB);
      assert.equal(await read(`${memory}/${limit}`), String((512 + 1 + 64) * MiB));
      await group.settle();
      assert.equal(await read(`${memory}/${limit}`), String((512 + 1) * MiB));
    });

    it('tell whether a VMM was killed for what it took, also once they are gone', async () => {
      const group = await cgroups.make('one', limits);
      assert.equal(await group.hasRunOut(), false);
      await writeFile(join(mount, memory, kills[0]), kills[1]);
      assert.equal(await group.hasRunOut(), true);
      await removed(
        group,
        [...new Set([memory, pids])].map((folder) => join(mount, folder)),
      );
      assert.deepEqual([await group.isThere(), await group.hasRunOut()], [false, true]);
      assert.equal(await cgroups.find('one', PID, 1), undefined);
    });

    it('are found again by the next daemon, and removed where nothing is in them', async () => {
      await cgroups.make('one', limits);
      assert.equal(await (await cgroups.find('one', PID, 1))?.isThere(), true);
      assert.equal(await cgroups.find('other', PID, 1), undefined);
      assert.equal(await (await over(moved).find('one', PID, 1))?.isThere(), true, 'of a daemon elsewhere');
      await mkdir(join(mount, memory, '../left'));
      await cgroups.removeEmpty();
      assert.equal(await cgroups.find('left', PID, 1), undefined);
      // As the kernel's with a process in them, a folder with a file in it stays.
      assert.equal(await (await cgroups.find('one', PID, 1))?.isThere(), true);
    });

    it('say why there are none', async () => {
      await rm(join(mount, memory), { recursive: true });
      await assert.rejects(cgroups.make('one', limits), /memory\.stat/);
      const check = await checkCgroups(cgroups);
      assert.deepEqual([check.name, check.status], ['memory limits', 'warn']);
      assert.match(check.found, /are refused: .*memory\.stat/);
    });
  });
}

it('cgroups say which controller the kernel has not', async () => {
  const where = { mount: '/nowhere', groupsOf: () => Promise.resolve('1:cpu:/\n') };
  const cgroups = new Cgroups('bough-test', where);
  await assert.rejects(cgroups.make('one', limits), /no controller of memory/);
});
