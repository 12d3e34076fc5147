import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isBoughError } from '../../contract/index.js';
import type { MachineIdentity, Manifest } from '../../store/index.js';
import { DEVICE_LAYOUT, DeviceStateRejected, hostProcessor, type Accelerator } from '../../vmm/index.js';
import { checkCompatible, loadFailure } from './compatible.js';
import type { HostContext } from '../host/context.js';

const context = {
  vmHost: { qemu: { version: '7.2.22', machineType: 'pc-i440fx-7.2' } },
} as unknown as HostContext;
const TCG: MachineIdentity = {
  ...{
    qemuVersion: '7.2.22',
    machineType: 'pc-i440fx-7.2',
    accel: 'tcg',
    cpuModel: 'max,erms=off,fsrm=off,la57=off',
  },
  ...{ vcpus: 1, memoryMiB: 1024, deviceLayout: DEVICE_LAYOUT },
};
const KVM: MachineIdentity = { ...TCG, accel: 'kvm', cpuModel: 'host,svm=off,vmx=off,pmu=off' };

/** What is refused on a host that has `insteadOfKvm`: `field: wanted, not found`. */
async function refusedFor(
  machine: MachineIdentity,
  insteadOfKvm: Accelerator = 'kvm',
): Promise<string | undefined> {
  const manifest = { tag: 'foreign', machine } as Manifest;
  try {
    await checkCompatible(context, manifest, () => Promise.resolve(insteadOfKvm));
    return undefined;
  } catch (error) {
    if (!isBoughError(error, 'snapshot_incompatible')) throw error;
    const { tag, field, wanted, found } = error.details as Record<string, string>;
    assert.equal(tag, 'foreign');
    return `${field}: ${wanted}, not ${found}`;
  }
}

describe('loadFailure()', () => {
  const manifest = { tag: 'foreign', machine: { ...TCG, qemuVersion: '7.2.23' } } as Manifest;
  const rejected = new DeviceStateRejected('QEMU ended while loading vmstate.bin: Unknown savevm section');

  it('names the two versions and what QEMU said, where they differ', () => {
    const error = loadFailure(manifest, '7.2.22', rejected);
    assert(isBoughError(error, 'snapshot_incompatible'));
    assert.match(
      error.message,
      /QEMU version is 7\.2\.23, this host has 7\.2\.22, .* Unknown savevm section$/,
    );
  });

  it('leaves every other failure as it is', () => {
    const other = new Error('no room');
    assert.equal(loadFailure(manifest, '7.2.22', other), other);
    assert.equal(loadFailure(manifest, '7.2.23', rejected), rejected);
  });
});

describe('checkCompatible()', () => {
  it('takes what was made as this host would make it', async () => {
    assert.equal(await refusedFor(TCG), undefined);
    assert.equal(await refusedFor(KVM), undefined);
  });

  it('takes what another correction of the same QEMU made', async () => {
    for (const qemuVersion of ['7.2.0', '7.2.21', '7.2.23', '7.2'])
      assert.equal(await refusedFor({ ...TCG, qemuVersion }), undefined, qemuVersion);
  });

  it('takes a guest that was captured with the whole of the processor, as earlier versions gave it', async () => {
    assert.equal(await refusedFor({ ...KVM, cpuModel: 'host' }), undefined);
    for (const cpuModel of ['max', 'max,erms=off,fsrm=off'])
      assert.equal(await refusedFor({ ...TCG, cpuModel }), undefined, cpuModel);
  });

  it('refuses a KVM snapshot where KVM runs no guest, and takes a TCG one where it does', async () => {
    assert.equal(await refusedFor(KVM, 'tcg'), 'accelerator: kvm, not tcg');
    assert.equal(await refusedFor(TCG, 'kvm'), undefined);
  });

  it('says what differs of one whose image is not here, though it could be tried whether KVM runs it', async () => {
    const cacheDir = '/nowhere';
    const manifest = { tag: 'foreign', image: { name: 'theirs', digest: '0' }, machine: KVM } as Manifest;
    await checkCompatible({ ...context, cacheDir }, manifest).catch((error: unknown) => {
      assert(isBoughError(error, 'snapshot_incompatible'), String(error));
    });
  });

  it('names what differs', async () => {
    assert.equal(await refusedFor({ ...TCG, qemuVersion: '9.9.9' }), 'QEMU version: 9.9, not 7.2');
    assert.equal(await refusedFor({ ...TCG, qemuVersion: '7.20.22' }), 'QEMU version: 7.20, not 7.2');
    assert.equal(
      await refusedFor({ ...TCG, machineType: 'pc-2.1' }),
      'machine type: pc-2.1, not pc-i440fx-7.2',
    );
    assert.equal(
      await refusedFor({ ...TCG, cpuModel: 'host' }),
      'CPU model: host, not max,erms=off,fsrm=off,la57=off',
    );
    assert.equal(
      await refusedFor({ ...KVM, cpuModel: 'max' }),
      'CPU model: max, not host,svm=off,vmx=off,pmu=off',
    );
    assert.equal(
      await refusedFor({ ...KVM, processor: 'Vendor 1 2 3 Other' }),
      `processor: Vendor 1 2 3 Other, not ${await hostProcessor()}`,
    );
    assert.equal(await refusedFor({ ...KVM, processor: await hostProcessor() }), undefined);
    assert.equal(await refusedFor({ ...TCG, deviceLayout: 1 }), undefined, 'of an earlier version');
    assert.equal(
      await refusedFor({ ...TCG, deviceLayout: 99 }),
      `device layout: 99, not ${String(DEVICE_LAYOUT)}`,
    );
  });
});
