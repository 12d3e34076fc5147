import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { diskNodes, spareOverlayNode, type BlockNode, type DiskLayer } from './disk-graph.js';
import { qemuArgv, type MachineSpec } from './machine.js';

const disk: readonly DiskLayer[] = [
  { path: '/image/root.ext4', format: 'raw', readOnly: true },
  { path: '/hot/a,b.qcow2', format: 'qcow2', readOnly: false },
];
const unbooted: MachineSpec = {
  name: 'sb1',
  machineType: 'pc-i440fx-7.2',
  accelerator: 'tcg',
  cpuModel: 'max',
  vcpus: 1,
  memoryMiB: 1536,
  memoryMarkerPath: '/hot/sb1/ram',
  disk,
  network: { agentPort: 5000 },
  console: { filePath: '/hot/sb1/console.log' },
  qmpSocketPath: '/hot/sb1/qmp',
  pagerQmpSocketPath: '/hot/sb1/pager-qmp',
  incoming: false,
  seccomp: true,
};
const boot = { kernelPath: '/image/vmlinuz', initrdPath: '/image/initrd', cmdline: 'console=ttyS0 quiet' };
const spec: MachineSpec = { ...unbooted, boot };

function valuesOf(argv: string[], option: string): string[] {
  return argv.filter((_arg, index) => argv[index - 1] === option);
}

function blockNodes(of: MachineSpec): Record<string, unknown>[] {
  return valuesOf(qemuArgv(of), '-blockdev').map((json) => JSON.parse(json) as BlockNode);
}

describe('qemuArgv()', () => {
  it('starts stopped, without defaults, under the seccomp filter', () => {
    const argv = qemuArgv(spec);
    for (const flag of ['-S', '-nodefaults', '-no-user-config', '-no-reboot'])
      assert(argv.includes(flag), flag);
    assert.match(valuesOf(argv, '-sandbox')[0] ?? '', /^on,.*spawn=deny/);
    assert.deepEqual(valuesOf(argv, '-name'), ['guest=sb1,debug-threads=on']);
  });

  it('places guest RAM in a private mapping of the marker file and caps the translation buffer', () => {
    const argv = qemuArgv(spec);
    assert.deepEqual(valuesOf(argv, '-object'), [
      'memory-backend-file,id=mem,size=1536M,mem-path=/hot/sb1/ram,share=off',
    ]);
    assert.deepEqual(valuesOf(argv, '-accel'), ['tcg,tb-size=64']);
    assert.match(valuesOf(argv, '-M')[0] ?? '', /memory-backend=mem,suppress-vmdesc=on,mem-merge=off/);
  });

  it('names driver and backing of every disk node and believes no image', () => {
    const nodes = blockNodes(spec);
    assert.deepEqual(
      nodes.map((node) => [node['node-name'], node['driver'], node['read-only'], node['backing']]),
      [
        ['disk0-file', 'file', true, undefined],
        ['disk0', 'raw', true, undefined],
        ['disk1-file', 'file', false, undefined],
        ['disk1', 'qcow2', false, 'disk0'],
      ],
    );
    for (const node of nodes) {
      assert.equal(node['auto-read-only'], false);
      assert.deepEqual(node['cache'], { 'no-flush': true, direct: false });
    }
    const lonely = blockNodes({ ...spec, disk: [{ path: '/x', format: 'qcow2', readOnly: false }] });
    assert.equal(lonely[1]?.['backing'], null);
  });

  it('puts the same device on an empty disk of that size where the layers come later, and they are the same nodes', () => {
    const empty = { ...spec, disk: { emptyBytes: 4096 } };
    assert.deepEqual(blockNodes(empty), [
      { driver: 'null-co', 'node-name': 'empty', size: 4096, 'read-zeroes': true },
    ]);
    const onEmpty = valuesOf(qemuArgv(spec), '-device').map((device) =>
      device.replace('drive=disk1', 'drive=empty'),
    );
    assert.deepEqual(valuesOf(qemuArgv(empty), '-device'), onEmpty);
    assert.deepEqual(diskNodes(disk), blockNodes(spec));
  });

  it('lets no device pin guest memory, whose writes no fault would tell', () => {
    const spare = spareOverlayNode('overlay1', '/x.qcow2') as { readonly file: Record<string, unknown> };
    const files = [...blockNodes(spec).filter(({ driver }) => driver === 'file'), spare.file];
    assert.equal(files.length, 3);
    for (const { aio, cache } of files)
      assert.deepEqual([aio, cache], ['threads', { 'no-flush': true, direct: false }]);
    for (const accelerator of ['tcg', 'kvm'] as const) {
      const argv = qemuArgv({ ...spec, accelerator }).join(' ');
      assert.doesNotMatch(argv, /vhost|vfio|io_uring|aio=native|cache\.direct|iothread/);
    }
  });

  it('refuses a writable layer below the top and a raw layer above the bottom', () => {
    const [base, top] = disk;
    assert(base !== undefined && top !== undefined);
    assert.throws(() => qemuArgv({ ...spec, disk: [{ ...base, readOnly: false }, top] }), TypeError);
    assert.throws(() => qemuArgv({ ...spec, disk: [base, { ...top, format: 'raw' }] }), TypeError);
  });

  it('gives a child the same devices as its source', () => {
    const child: MachineSpec = { ...unbooted, name: 'sb2', console: 'ringbuf', incoming: true };
    assert.deepEqual(valuesOf(qemuArgv(child), '-device'), valuesOf(qemuArgv(spec), '-device'));
    assert.deepEqual(valuesOf(qemuArgv(child), '-incoming'), ['defer']);
    assert.deepEqual(
      valuesOf(qemuArgv(child), '-global').filter((property) => !property.includes('ioeventfd')),
      ['migration.send-configuration=off'],
    );
    assert.deepEqual(valuesOf(qemuArgv(child), '-kernel'), []);
  });

  it('has none of the eventfds that a stop would have to close', () => {
    for (const accelerator of ['kvm', 'tcg'] as const)
      assert.deepEqual(valuesOf(qemuArgv({ ...spec, accelerator }), '-global'), [
        'virtio-blk-pci.ioeventfd=off',
        'virtio-net-pci.ioeventfd=off',
        'virtio-serial-pci.ioeventfd=off',
      ]);
  });

  it('forwards one port of the loopback address to the agent and lets the guest reach nothing', () => {
    const [network] = valuesOf(qemuArgv(spec), '-netdev');
    assert.equal(network, 'user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:5000');
  });

  it('lets connections come as far as the gate where there is one, and the devices be the same', () => {
    const gated = { ...spec, network: { agentPort: 5000, gated: true } };
    assert.deepEqual(valuesOf(qemuArgv(gated), '-netdev'), [
      'user,id=net0,restrict=off,ipv6=off,hostfwd=tcp:127.0.0.1:0-:5000',
    ]);
    assert.deepEqual(valuesOf(qemuArgv(gated), '-device'), valuesOf(qemuArgv(spec), '-device'));
  });

  it('has a generation id where it is asked for, and the other devices are the same', () => {
    const devices = (of: MachineSpec) => valuesOf(qemuArgv(of), '-device');
    const added = devices({ ...spec, generationId: true }).filter(
      (device) => !devices(spec).includes(device),
    );
    assert.deepEqual(added, ['vmgenid,guid=auto,id=generation']);
    assert(!devices({ ...spec, generationId: false }).some((device) => device.startsWith('vmgenid')));
  });

  it('has serial ports where it is given their sockets, in their order, and the other devices are the same', () => {
    const devices = (of: MachineSpec) => valuesOf(qemuArgv(of), '-device');
    const ported = { ...spec, serialSocketPaths: ['/hot/port,1', '/hot/port2'] };
    assert.deepEqual(
      devices(ported).filter((device) => !devices(spec).includes(device)),
      [
        'virtio-serial-pci,id=serial,max_ports=3,addr=0x5,disable-modern=on',
        'virtserialport,bus=serial.0,nr=1,chardev=port1,id=port1',
        'virtserialport,bus=serial.0,nr=2,chardev=port2,id=port2',
      ],
    );
    assert(
      valuesOf(qemuArgv(ported), '-chardev').includes('socket,id=port1,path=/hot/port,,1,server=on,wait=off'),
    );
    assert.deepEqual(devices({ ...spec, serialSocketPaths: [] }), devices(spec));
    assert.throws(() => qemuArgv({ ...spec, serialSocketPaths: [`/${'x'.repeat(107)}`] }), TypeError);
  });

  it('doubles commas in paths and refuses names and socket paths that QEMU would misread', () => {
    const argv = qemuArgv({ ...spec, memoryMarkerPath: '/a,b' });
    assert.match(valuesOf(argv, '-object')[0] ?? '', /mem-path=\/a,,b,/);
    assert.throws(() => qemuArgv({ ...spec, name: 'a,process=b' }), TypeError);
    assert.throws(() => qemuArgv({ ...spec, qmpSocketPath: `/${'x'.repeat(107)}` }), TypeError);
  });
});
