/** A VMM that stood ready and one that was started for its child make the same sandbox. */
import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { armFailpoint, disarmFailpoints, sleep } from '../../src/base/index.js';
import { startOwnDaemon } from '../../src/cli/own-daemon.js';
import type { BoughEvent, Emit } from '../../src/contract/index.js';
import { QmpClient } from '../../src/qmp/index.js';
import type { LocalHost } from '../../src/sandbox/host/local-host.js';
import { openHost } from '../../src/sandbox/host/open-host.js';
import { Guest } from '../support/guest.js';
import { vmProcesses } from '../support/leftovers.js';
import { foldersWithTemplate, type OwnFolders } from '../support/template-copy.js';
import { TEMPLATE_TAG } from '../support/test-host.js';
import { limitMs } from '../support/time-limit.js';

const POLLS = 1000;
const POLL_MS = 20;

describe('a child in a VMM that stood ready', { timeout: limitMs(300_000) }, () => {
  let folders: OwnFolders;
  let host: LocalHost;
  let events: BoughEvent[] = [];
  const emit: Emit = (name, facts) => void events.push({ name, facts } as BoughEvent);
  const open = (warmVmms = 1): Promise<LocalHost> =>
    openHost({ ...folders, maxConcurrentBranches: 4, warmVmms, emit });

  before(async () => {
    folders = await foldersWithTemplate('warm');
    host = await open();
  });
  afterEach(async () => {
    disarmFailpoints();
    for (const { id } of await host.listSandboxes()) await host.removeSandbox(id);
    for (const { tag } of await host.listSnapshots())
      if (tag !== TEMPLATE_TAG) await host.deleteSnapshot(tag, { cascade: false, force: true });
    await host.close();
    assert.deepEqual(await vmProcesses(folders.hotDir), []);
    assert.deepEqual(await readdir(join(folders.stateDir, 'sandboxes')), []);
    assert.deepEqual(await readdir(join(folders.hotDir, 'sandboxes')), []);
    host = await open();
    events = [];
  });
  after(async () => {
    await host.close();
    await folders.remove();
  });

  async function spawn(tag = TEMPLATE_TAG): Promise<Guest> {
    const [sandbox] = await host.spawn({ snapshotTag: tag, count: 1 });
    assert(sandbox);
    return Guest.ofHost(host, sandbox.id);
  }

  /** Whether each child so far stood ready, in order. */
  const wereWarm = (): boolean[] =>
    events.flatMap(({ name, facts }) => (name === 'sandbox.guest-runs' ? [facts.warm] : []));

  /** Waits until a VMM answers that is no sandbox's; its process. */
  async function idleVmm(): Promise<number> {
    for (let poll = 0; poll < POLLS; poll++) {
      const used = (await host.listSandboxes()).map(({ pid }) => pid);
      for (const { pid } of await vmProcesses(folders.hotDir)) {
        const args = await argumentsOf(pid).catch(() => '');
        if (used.includes(pid) || !args.includes('-incoming')) continue;
        // Its start is over when the daemon has asked it everything, which takes milliseconds.
        await sleep(500);
        return pid;
      }
      await sleep(POLL_MS);
    }
    assert.fail('no VMM stands ready');
  }

  const argumentsOf = async (pid: number): Promise<string> =>
    (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', '\n');

  /** All that can be told of a sandbox's VMM from outside; its own name, numbers and times are left out. */
  async function seenFromOutside(id: string): Promise<object> {
    const { pid, isolation } = await host.getSandbox(id);
    assert(pid);
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
    const limits = await readFile(`/proc/${pid}/limits`, 'utf8');
    const record = await readFile(join(folders.stateDir, 'sandboxes', id, 'record.json'), 'utf8');
    return {
      isolation: { ...isolation, uid: isolation.uid === 0 ? 'root' : 'its own' },
      args: (await argumentsOf(pid)).replaceAll(id, 'ID').split('\n'),
      environment: environment.replaceAll(id, 'ID').split('\0'),
      limits,
      status: status.match(/^(Cap\w+|NoNewPrivs|Seccomp|Seccomp_filters):.*$/gm),
      record: JSON.parse(itsOwnLeftOut(record.replaceAll(id, 'ID'))) as unknown,
      files: [
        await modes(join(folders.stateDir, 'sandboxes', id)),
        await modes(join(folders.hotDir, 'sandboxes', id)),
      ],
    };
  }

  const itsOwnLeftOut = (record: string): string =>
    record
      .replace(/"(pid|startTimeTicks|uid|createdAtUnix)": ?\d+/g, '"$1":0')
      .replace(/"secret": ?"\w+"/, '"secret":""')
      .replace(/"overlay": ?\{"id": ?"\w+"/, '"overlay":{"id":""');

  async function modes(folder: string): Promise<string[]> {
    const names = (await readdir(folder, { recursive: true })).sort();
    const own = (await stat(folder)).gid;
    return Promise.all(
      names.map(async (name) => {
        const { mode, uid, gid } = await stat(join(folder, name));
        const whose = [uid, gid].map((each) => (each !== 0 && each === own ? 'own' : each));
        return `${name} ${mode.toString(8)} ${whose.join(':')}`;
      }),
    );
  }

  /** The machine as QEMU tells of it; no daemon may be connected. */
  async function seenByQemu(id: string): Promise<object> {
    const qmp = await QmpClient.connect(join(folders.hotDir, 'sandboxes', id, 'qmp'));
    try {
      const human = async (line: string): Promise<string[]> =>
        (await qmp.execute('human-monitor-command', { 'command-line': line })).split(/\r?\n/);
      const nodes = (await qmp.execute('query-named-block-nodes')) as Record<string, unknown>[];
      const text = JSON.stringify(
        nodes.map((node) => ({ ...node, image: undefined })),
        null,
        1,
      );
      return {
        nodes: text.replaceAll(id, 'ID').split('\n'),
        devices: await human('info qtree'),
        // Address spaces come in no order.
        memory: (await human('info mtree')).sort(),
      };
    } finally {
      await qmp.close();
    }
  }

  it('is what it would be otherwise: to the host, to QEMU, to the next daemon, to its children', async () => {
    const source = await spawn();
    await source.shell('head -c 3000000 /dev/urandom > /root/big; sync');
    await source.python('exec("import os; memory = os.urandom(20 << 20)")');
    // Durable: else the two children may find its disk in different places.
    const { tag } = await host.branch(source.id, { mode: 'live', wait: 'durable' });
    const digest = 'exec("import hashlib; digest = hashlib.sha256(memory).hexdigest()")';
    const contents = async (guest: Guest): Promise<string[]> => {
      await guest.python(digest);
      return [(await guest.python('digest')) ?? '', await guest.shell('sha256sum < /root/big')];
    };
    const wanted = await contents(source);
    await host.close();
    host = await open(0);
    const cold = await spawn(tag);
    await host.close();
    host = await open();
    await host.removeSandbox((await spawn()).id);
    await idleVmm();
    const warm = await spawn(tag);
    assert.deepEqual(wereWarm(), [false, false, false, true]);
    assert.deepEqual(await contents(Guest.ofHost(host, cold.id)), wanted);
    assert.deepEqual(await contents(warm), wanted);
    assert.deepEqual(await seenFromOutside(warm.id), await seenFromOutside(cold.id));
    assert.equal(await warm.shell('hostname'), `bough-${warm.id}`);

    await host.close();
    assert.deepEqual(await seenByQemu(warm.id), await seenByQemu(cold.id));
    host = await open();
    const adopted = Guest.ofHost(host, warm.id);
    await adopted.shell('echo own > /root/own; sync');
    const { tag: grandchildTag } = await host.branch(warm.id, { mode: 'live', wait: 'ready' });
    const grandchild = await spawn(grandchildTag);
    assert.deepEqual(await contents(grandchild), wanted);
    assert.equal(await grandchild.shell('cat /root/own'), 'own');
  });

  it('is started in another VMM where the one that stood ready ends, before it is taken or after', async () => {
    await spawn();
    process.kill(await idleVmm(), 'SIGKILL');
    assert.equal(await (await spawn()).shell('echo lives'), 'lives');
    for (const place of ['spawn.linked', 'spawn.mapped', 'spawn.loaded']) {
      const pid = await idleVmm();
      armFailpoint(place, () => process.kill(pid, 'SIGKILL'));
      assert.equal(await (await spawn()).shell('echo lives'), 'lives', place);
    }
    assert(wereWarm().every((each) => !each));
    // Whether the first is taken depends on who notices its end first.
    assert(events.filter(({ name }) => name === 'vmm.not-warm').length >= 3);
  });

  it('and all that stands ready goes with a daemon that is killed, idle or while it becomes a child', async () => {
    await host.close();
    const { stateDir, hotDir, cacheDir } = folders;
    const flags = ['--state-dir', stateDir, '--hot-dir', hotDir, '--cache-dir', cacheDir, '--warm-vmms', '1'];
    for (const place of ['spawn.linked', 'spawn.overlay-made', 'spawn.mapped', 'spawn.identified']) {
      const env = { ...process.env, BOUGH_FAILPOINTS: `${place}:2=abort` };
      const daemon = await startOwnDaemon(flags, env);
      await daemon.client.sandboxes.spawn({ snapshot_tag: TEMPLATE_TAG });
      host = { listSandboxes: () => daemon.client.sandboxes.list() } as unknown as LocalHost;
      await idleVmm();
      await assert.rejects(daemon.client.sandboxes.spawn({ snapshot_tag: TEMPLATE_TAG }));
      await daemon.stop();
      host = await open(0);
      const [survivor, ...others] = await host.listSandboxes();
      assert(survivor !== undefined && others.length === 0, place);
      assert.deepEqual(
        (await vmProcesses(hotDir)).map(({ pid }) => pid),
        [survivor.pid],
        place,
      );
      assert.deepEqual(await readdir(join(stateDir, 'sandboxes')), [survivor.id], place);
      assert.deepEqual(await readdir(join(hotDir, 'sandboxes')), [survivor.id], place);
      await host.removeSandbox(survivor.id);
      await host.close();
    }
    host = await open();
  });
});
