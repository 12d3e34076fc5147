import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { sleep } from '../../base/index.js';
import { qemuArgv } from '../machine/machine.js';
import { findRunningVmms, vmNameIn } from './running-vmms.js';

const socketOf = (name: string): string => `/dev/shm/hot, really/${name}/qmp`;

const argv = qemuArgv({
  ...{ name: 'sb1', machineType: 'pc', accelerator: 'tcg', cpuModel: 'max', vcpus: 1, memoryMiB: 64 },
  ...{ disk: [], console: 'ringbuf', incoming: false, seccomp: true },
  qmpSocketPath: socketOf('sb1'),
});

describe('vmNameIn()', () => {
  it('finds the name of a VM whose socket is where it would be here', () => {
    assert.equal(vmNameIn(['qemu-system-x86_64', ...argv], socketOf), 'sb1');
  });

  it('knows no VM of another host, and no other process', () => {
    assert.equal(
      vmNameIn(argv, (name) => `/elsewhere/${name}/qmp`),
      undefined,
    );
    assert.equal(vmNameIn(['sleep', '60'], socketOf), undefined);
    assert.equal(vmNameIn(['-name'], socketOf), undefined);
  });
});

describe('findRunningVmms()', () => {
  it('passes over a process that only has the arguments', async () => {
    const impostor = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 5000)', '--', ...argv]);
    await once(impostor, 'spawn');
    await sleep(50);
    assert.deepEqual(await findRunningVmms(socketOf), []);
    impostor.kill('SIGKILL');
    await once(impostor, 'exit');
  });
});
