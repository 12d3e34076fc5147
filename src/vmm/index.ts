/** One QEMU process: from its description to its end, and what this host's QEMU can do. */
export { chooseAccelerator, GUEST_SIGN_OF_LIFE } from './accelerator.js';
export type { AcceleratorChoice, ChooseAcceleratorOptions } from './accelerator.js';
export type { Check } from './check.js';
export { diskNodeName } from './disk-graph.js';
export type { DiskLayer } from './disk-graph.js';
export { runDoctor } from './doctor.js';
export type { DoctorOptions } from './doctor.js';
export { hostForwardPort } from './host-forward.js';
export { DeviceStateRejected, loadDeviceState } from './incoming.js';
export { qemuArgv } from './machine.js';
export type { Accelerator, MachineSpec } from './machine.js';
export { cpuModelFor, probeQemu, QemuUnusable } from './probe.js';
export type { QemuFacts } from './probe.js';
export { DEFAULT_QEMU_PATH, Vmm, VmmGone, VmmStartFailed } from './vmm.js';
export type { VmmAdoptOptions, VmmStartOptions } from './vmm.js';
export type { VmmExit } from './vmm-process.js';
