/** Sandboxes without VMs: folders with a record in them, and a VM that is none. */
import { EventEmitter } from 'node:events';
import { unixSeconds } from '../../src/base/index.js';
import { makeSandboxFolders, sandboxPaths, type SandboxPaths } from '../../src/sandbox/entity/paths.js';
import {
  newRecord,
  readRecord,
  writeRecord,
  type SandboxFields,
  type SandboxRecord,
} from '../../src/sandbox/entity/record.js';
import { Sandbox } from '../../src/sandbox/entity/sandbox.js';
import type { Vm } from '../../src/sandbox/entity/vm.js';

export function aRecord(more: Partial<SandboxFields> = {}): SandboxRecord {
  return newRecord({
    ...{ id: 'sb1', snapshotTag: 'base', createdAtUnix: unixSeconds() - 100 },
    machine: {
      ...{ qemuVersion: '7.2', machineType: 'pc', accel: 'tcg', cpuModel: 'max' },
      ...{ vcpus: 1, memoryMiB: 64, deviceLayout: 1 },
    },
    image: { name: 'i', digest: 'd' },
    agent: { guestPort: 1, secret: 's' },
    ...{ layers: [], disks: [], overlay: { id: 'o', path: '/o', format: 'qcow2' } },
    ...{ overlayNode: 'overlay0', switchCount: 0, branchCount: 0 },
    process: { pid: 1, startTimeTicks: 1 },
    ...more,
  });
}

/** A sandbox's folders below `dir`, with a record in them. */
export async function recorded(dir: string, more: Partial<SandboxFields> = {}): Promise<SandboxPaths> {
  const record = aRecord(more);
  const paths = sandboxPaths({ hotDir: `${dir}/hot`, stateDir: `${dir}/state` }, record.id);
  await makeSandboxFolders(paths);
  await writeRecord(paths.record, record);
  return paths;
}

/** A VM that only remembers to have been ended. */
export function fakeVm(): Vm & { readonly wasKilled: () => boolean } {
  let killed = false;
  const nothing = (): Promise<void> => Promise.resolve();
  const vmm = {
    exited: new Promise(() => undefined),
    qmp: new EventEmitter(),
    kill: () => Promise.resolve(void (killed = true)),
    ...{ release: nothing, pid: 1, startTimeTicks: 1 },
  };
  const vm = { vmm, pager: { close: nothing }, agentAddress: { path: '/nowhere' }, wasKilled: () => killed };
  return vm as unknown as Vm & { readonly wasKilled: () => boolean };
}

/** What a daemon has of a sandbox after it (re)started. */
export async function owned(paths: SandboxPaths, vm: Vm = fakeVm()): Promise<Sandbox> {
  return Sandbox.running(paths, await readRecord(paths.record), vm, { seccomp: true, emit: () => undefined });
}
