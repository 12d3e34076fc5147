/**
 * From a machine's description to QEMU's arguments; pure, so the whole device layout is held by a plain test.
 *
 * The idea: the guest-visible machine depends on `MachineSpec` only, device by device with fixed PCI slots, and never on QEMU's
 * defaults. A child that is to load a snapshot's device state therefore gets the same layout, whatever else differs (console
 * backend, number of disk layers, direct kernel boot).
 *
 * Invariant: the VM starts stopped (`-S`), so that guest RAM can be mapped before the first instruction.
 * Not handled: below 3 GiB and above are the same here; what that means for RAM offsets is the pager's business.
 */
import { diskArguments, type Disk } from './disk-graph.js';

export type Accelerator = 'kvm' | 'tcg';

/** Lists of devices that a VM can be built with, oldest first; a device state loads only into the one that it was saved with. 2 adds the generation id, 3 the serial ports. */
export const DEVICE_LAYOUTS: readonly number[] = [1, 2, 3];
/** What new guests are booted with. */
export const DEVICE_LAYOUT = 3;
/** Of layout 3. Each takes 512 KiB of the guest's memory. */
export const SERIAL_PORT_COUNT = 4;

/** One VM. Sizes in MiB, paths absolute. */
export interface MachineSpec {
  /** Sandbox id; appears as `guest=<name>` in the process's arguments, which is how an adopted process is recognised. */
  readonly name: string;
  /** Versioned, such as `pc-i440fx-7.2`. */
  readonly machineType: string;
  readonly accelerator: Accelerator;
  readonly cpuModel: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  /**
   * A device that tells the guest's kernel when it finds itself in another VM, so that it reseeds (Linux 5.18's `CONFIG_VMGENID`): each VMM
   * has an id of its own, which QEMU writes into the guest's memory when a device state has been loaded.
   */
  readonly generationId?: boolean;
  /** Sparse file whose name marks guest RAM in /proc/<pid>/maps; without it RAM is anonymous and cannot be layered. */
  readonly memoryMarkerPath?: string;
  /** Size of TCG's translation buffer (QEMU's own default is up to 1 GiB); 64 if absent. */
  readonly translationBufferMiB?: number;
  /** Direct kernel boot; a child that loads a device state needs none. */
  readonly boot?: { readonly kernelPath: string; readonly initrdPath?: string; readonly cmdline: string };
  /** Of layers the last one is the guest's disk, all below it are read-only. No layers: no disk. */
  readonly disk: Disk;
  /**
   * User network reaching nothing but this: a port of 127.0.0.1 that the kernel picks, to the guest's agentPort; the gate makes a Unix socket of it. `gated`:
   * libslirp takes the guest's connections, and the gate in QEMU is what decides on them.
   */
  readonly network?: { readonly agentPort: number; readonly gated?: boolean };
  /** Of virtio-serial ports to the guest's agent, `SERIAL_PORT_COUNT` of them, or none. */
  readonly serialSocketPaths?: readonly string[];
  /** Serial console: appended to a file, or the last 64 KiB kept in memory (`ringbuf-read`, device `console`). */
  readonly console: { readonly filePath: string } | 'ringbuf';
  readonly qmpSocketPath: string;
  /** The pager's own QMP socket. */
  readonly pagerQmpSocketPath?: string;
  /** Wait for a device state instead of booting. */
  readonly incoming: boolean;
  /** Put QEMU under its seccomp filter; false only where QEMU was built without. */
  readonly seccomp: boolean;
}

/** QEMU's seccomp filter as used for every VM. */
export const SANDBOX_FILTER = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';
const DEFAULT_TRANSLATION_BUFFER_MIB = 64;
/**
 * Each eventfd by which a device is notified is closed at a stop and made again before the vCPUs run: time of the pause. Under KVM each
 * of these may wait for a grace period of the host's kernel, which on a busy host is seconds for all of them; without, a notification
 * leaves the kernel. Under TCG they only hand the work to another thread. The guest does not see it.
 */
const WITHOUT_IOEVENTFD = ['virtio-blk-pci', 'virtio-net-pci', 'virtio-serial-pci'].flatMap((device) => [
  '-global',
  `${device}.ioeventfd=off`,
]);
/** What QEMU keeps of a guest's console. */
export const CONSOLE_RING_BYTES = 64 * 1024;
/** Linux's limit on the path of a Unix socket, without the closing NUL. */
const MAX_SOCKET_PATH_BYTES = 107;

/** QEMU's arguments for `spec`; throws a TypeError for a spec that no QEMU could run. */
export function qemuArgv(spec: MachineSpec): string[] {
  checkSpec(spec);
  return [
    // A guest that ends by itself leaves its VMM standing, so that its console can be read.
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-no-shutdown', '-S'],
    ...['-name', `guest=${spec.name},debug-threads=on`],
    ...(spec.seccomp ? ['-sandbox', SANDBOX_FILTER] : []),
    ...coreArguments(spec),
    ...bootArguments(spec),
    ...diskArguments(spec.disk),
    ...networkArguments(spec),
    ...serialPortArguments(spec),
    ...(spec.generationId === true ? ['-device', 'vmgenid,guid=auto,id=generation'] : []),
    ...consoleArguments(spec),
    ...['-qmp', socketBackend(spec.qmpSocketPath)],
    ...(spec.pagerQmpSocketPath === undefined ? [] : ['-qmp', socketBackend(spec.pagerQmpSocketPath)]),
    ...(spec.incoming ? ['-incoming', 'defer', '-global', 'migration.send-configuration=off'] : []),
  ];
}

function coreArguments(spec: MachineSpec): string[] {
  const bufferMiB = spec.translationBufferMiB ?? DEFAULT_TRANSLATION_BUFFER_MIB;
  const machine = [
    spec.machineType,
    'memory-backend=mem',
    ...['suppress-vmdesc=on', 'mem-merge=off', 'dump-guest-core=off', 'usb=off', 'vmport=off'],
  ];
  const ram =
    spec.memoryMarkerPath === undefined
      ? `memory-backend-ram,id=mem,size=${spec.memoryMiB}M`
      : `memory-backend-file,id=mem,size=${spec.memoryMiB}M,mem-path=${escaped(spec.memoryMarkerPath)},share=off`;
  return [
    ...['-M', machine.join(',')],
    ...['-accel', spec.accelerator === 'tcg' ? `tcg,tb-size=${bufferMiB}` : 'kvm'],
    ...WITHOUT_IOEVENTFD,
    ...['-cpu', spec.cpuModel],
    ...['-smp', String(spec.vcpus)],
    ...['-m', String(spec.memoryMiB)],
    ...['-object', ram],
  ];
}

function bootArguments({ boot }: MachineSpec): string[] {
  if (boot === undefined) return [];
  const initrd = boot.initrdPath === undefined ? [] : ['-initrd', boot.initrdPath];
  return ['-kernel', boot.kernelPath, ...initrd, '-append', boot.cmdline];
}

function networkArguments({ network }: MachineSpec): string[] {
  if (network === undefined) return [];
  const forward = `hostfwd=tcp:127.0.0.1:0-:${network.agentPort}`;
  return [
    ...[
      '-netdev',
      `user,id=net0,${network.gated === true ? 'restrict=off,ipv6=off' : 'restrict=on'},${forward}`,
    ],
    ...['-device', 'virtio-net-pci,id=eth0,netdev=net0,addr=0x4,disable-modern=on,romfile='],
  ];
}

/** Port 0 is of a console, which there is none of. */
function serialPortArguments({ serialSocketPaths: paths = [] }: MachineSpec): string[] {
  if (paths.length === 0) return [];
  const controller = `virtio-serial-pci,id=serial,max_ports=${paths.length + 1},addr=0x5,disable-modern=on`;
  return ['-device', controller].concat(
    paths.flatMap((path, index) => [
      ...['-chardev', `socket,id=port${index + 1},path=${escaped(path)},server=on,wait=off`],
      ...[
        '-device',
        `virtserialport,bus=serial.0,nr=${index + 1},chardev=port${index + 1},id=port${index + 1}`,
      ],
    ]),
  );
}

function consoleArguments({ console }: MachineSpec): string[] {
  const backend =
    console === 'ringbuf'
      ? `ringbuf,id=console,size=${CONSOLE_RING_BYTES}`
      : `file,id=console,path=${escaped(console.filePath)},append=on`;
  return ['-chardev', backend, '-device', 'isa-serial,id=serial0,chardev=console,index=0'];
}

/** The argument of `-qmp` for a socket at `path`. */
export function socketBackend(path: string): string {
  return `unix:${escaped(path)},server=on,wait=off`;
}

/** A comma ends a value in QEMU's option syntax unless it is doubled. */
function escaped(path: string): string {
  return path.replaceAll(',', ',,');
}

function checkSpec(spec: MachineSpec): void {
  if (!/^[A-Za-z0-9._-]+$/.test(spec.name))
    throw new TypeError(`Not a VM name: ${JSON.stringify(spec.name)}`);
  if (!Number.isInteger(spec.vcpus) || spec.vcpus < 1) throw new TypeError(`Not a vCPU count: ${spec.vcpus}`);
  if (!Number.isInteger(spec.memoryMiB) || spec.memoryMiB < 1) {
    throw new TypeError(`Not a memory size in MiB: ${spec.memoryMiB}`);
  }
  const socketPaths = [spec.qmpSocketPath, spec.pagerQmpSocketPath ?? '', ...(spec.serialSocketPaths ?? [])];
  for (const path of socketPaths) {
    if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
      throw new TypeError(`Socket path is longer than ${MAX_SOCKET_PATH_BYTES} bytes: ${path}`);
    }
  }
}
