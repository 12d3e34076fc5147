import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DeadlineExceeded, sleep } from '../../src/base/index.js';
import { QmpTimeout } from '../../src/qmp/index.js';
import {
  DEFAULT_QEMU_PATH,
  DeviceStateRejected,
  hostForwardPort,
  listenForDeviceState,
  loadDeviceState,
  probeQemu,
  Vmm,
  VmmGone,
  VmmStartFailed,
  type MachineSpec,
} from '../../src/vmm/index.js';
import { TEST_QEMU_PATH } from '../support/test-host.js';

const QEMU_PATH = TEST_QEMU_PATH ?? DEFAULT_QEMU_PATH;
const skip = existsSync(QEMU_PATH) ? false : 'QEMU is not installed';

describe('Vmm', { skip, timeout: 60_000 }, () => {
  let dir = '';
  let machineType = '';
  before(async () => {
    dir = await mkdtemp('/dev/shm/bough-vmm-');
    machineType = (await probeQemu(QEMU_PATH)).machineType;
  });
  after(() => rm(dir, { recursive: true }));

  function emptyMachine(name: string, change: Partial<MachineSpec> = {}): MachineSpec {
    return {
      ...{ name, machineType, accelerator: 'tcg', cpuModel: 'max', vcpus: 1, memoryMiB: 64 },
      memoryMarkerPath: join(dir, `${name}.ram`),
      ...{ disk: [], network: { agentPort: 5000 }, console: 'ringbuf', incoming: false, seccomp: true },
      qmpSocketPath: join(dir, `${name}.qmp`),
      ...change,
    };
  }

  function start(spec: MachineSpec): Promise<Vmm> {
    return Vmm.start({ spec, qemuPath: QEMU_PATH, logPath: join(dir, `${spec.name}.log`) });
  }

  it('start() gives a stopped VM that answers QMP, with a port of its own to the agent', async () => {
    const vmm = await start(emptyMachine('fresh'));
    assert.equal((await vmm.qmp.execute('query-status')).status, 'prelaunch');
    assert((await hostForwardPort(vmm.qmp, 5000)) > 1023);
    const status = await readFile(`/proc/${vmm.pid}/status`, 'utf8');
    assert.match(status, /NoNewPrivs:\s+1/);
    assert.match(status, /Umask:\s+0077/);
    assert.equal((await readFile(`/proc/${vmm.pid}/environ`, 'utf8')).includes('HOME='), false);
    await Promise.all([vmm.kill(), vmm.kill()]);
    assert.deepEqual(await vmm.exited, { code: null, signal: 'SIGKILL' });
  });

  it('start() tells why QEMU ended', async () => {
    const broken = emptyMachine('broken', { machineType: 'pc-i440fx-0.0' });
    await assert.rejects(start(broken), (error: unknown) => {
      assert(error instanceof VmmStartFailed);
      assert.equal(error.exitCode, 1);
      assert.match(error.logTail, /unsupported machine type/);
      return true;
    });
  });

  it('start() leaves no process when cancelled', async () => {
    const cancel = new AbortController();
    const spec = emptyMachine('cancelled');
    const starting = Vmm.start({
      spec,
      qemuPath: QEMU_PATH,
      logPath: join(dir, 'cancelled.log'),
      signal: cancel.signal,
    });
    setTimeout(() => cancel.abort(new Error('not wanted')), 5);
    await assert.rejects(starting, /not wanted/);
    await rm(spec.qmpSocketPath, { force: true });
    await sleep(100);
    assert(!existsSync(spec.qmpSocketPath));
  });

  it('kill() ends a VMM that does not listen any more', async () => {
    const vmm = await start(emptyMachine('hung'));
    process.kill(vmm.pid, 'SIGSTOP');
    await assert.rejects(vmm.qmp.execute('query-status', undefined, { timeoutMs: 50 }), QmpTimeout);
    await vmm.kill();
    assert.deepEqual(await vmm.exited, { code: null, signal: 'SIGKILL' });
  });

  it('adopt() takes over a running VMM, sees its end and can end it', async () => {
    const first = await start(emptyMachine('kept'));
    const { pid, startTimeTicks } = first;
    await first.release();
    const noted = { name: 'kept', pid, startTimeTicks, logPath: '', qmpSocketPath: join(dir, 'kept.qmp') };
    const adopted = await Vmm.adopt(noted);
    assert.equal((await adopted.qmp.execute('query-status')).running, false);
    await adopted.kill();
    assert.equal(await adopted.exited, 'gone');
    await assert.rejects(Vmm.adopt(noted), VmmGone);
  });

  it('kill() that failed can be tried again', async (t) => {
    const first = await start(emptyMachine('stubborn'));
    const { pid, startTimeTicks } = first;
    await first.release();
    const socket = { logPath: '', qmpSocketPath: join(dir, 'stubborn.qmp') };
    const vmm = await Vmm.adopt({ name: 'stubborn', pid, startTimeTicks, ...socket });
    const unheard = t.mock.method(process, 'kill', () => true);
    await assert.rejects(Promise.all([vmm.kill(50), vmm.kill(50)]), DeadlineExceeded);
    assert.equal(unheard.mock.callCount(), 1);
    unheard.mock.restore();
    await Promise.all([vmm.kill(), vmm.kill()]);
    assert.equal(await vmm.exited, 'gone');
    await vmm.kill();
  });

  it('adopt() and killOrphan() never touch a process that is not the one that was noted', async () => {
    const stranger = spawn('sleep', ['60']);
    const pid = stranger.pid ?? 0;
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const startTimeTicks = Number(stat.split(' ')[21]);
    const noted = { name: 'sb', logPath: '', qmpSocketPath: join(dir, 'none') };
    await assert.rejects(Vmm.adopt({ ...noted, pid, startTimeTicks }), VmmGone);
    await assert.rejects(Vmm.adopt({ ...noted, pid, startTimeTicks: startTimeTicks - 1 }), VmmGone);
    await Vmm.killOrphan({ name: 'sb', pid, startTimeTicks });
    assert.equal(stranger.exitCode, null);
    stranger.kill('SIGKILL');
    assert.deepEqual(await once(stranger, 'exit'), [null, 'SIGKILL']);
  });

  it('loadDeviceState() loads what another VM saved, and refuses a damaged state', async () => {
    const source = await start(emptyMachine('source'));
    const state = join(dir, 'state');
    await source.qmp.execute('xen-save-devices-state', { filename: state, live: false });
    await source.kill();

    const child = await start(emptyMachine('child', { incoming: true }));
    await listenForDeviceState(child.qmp, join(dir, 'child.in'));
    await loadDeviceState(child.qmp, join(dir, 'child.in'), state);
    await child.qmp.execute('cont');
    assert.equal((await child.qmp.execute('query-status')).running, true);
    await child.kill();

    const damaged = await readFile(state);
    damaged.fill(0x55, 40, 400);
    await writeFile(state, damaged);
    const victim = await start(emptyMachine('victim', { incoming: true }));
    await listenForDeviceState(victim.qmp, join(dir, 'victim.in'));
    await assert.rejects(loadDeviceState(victim.qmp, join(dir, 'victim.in'), state), DeviceStateRejected);
    await victim.kill();
  });
});
