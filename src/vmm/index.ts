/** One QEMU process: from its description to its end, and what this host's QEMU can do. */
export { chooseAccelerator, knownAccelerator } from './host/accelerator.js';
export type { WantedAccelerator } from './host/wanted-accelerator.js';
export type { Check, KernelSetting } from './host/check.js';
export { whyNotConfined, whyNotWalled } from './host/check-isolation.js';
export { GATE_ENV_FORWARD, GATE_ENV_SOCKET, GATE_LIBRARY } from './host/check-gate.js';
export { checkDurableDir, checkHotDir } from './host/check-folders.js';
export { diskNodeName, spareOverlayNode } from './machine/disk-graph.js';
export { runDoctor } from './host/doctor.js';
export type { DoctorOptions } from './host/doctor.js';
export { hostProcessor } from './host/host-cpu.js';
export { hostForwardPort } from './process/host-forward.js';
export { DeviceStateRejected, listenForDeviceState, loadDeviceState } from './process/incoming.js';
export { plugDisk } from './process/plug-disk.js';
export {
  DEVICE_LAYOUT,
  DEVICE_LAYOUTS,
  SERIAL_PORT_COUNT,
  type Accelerator,
  type MachineSpec,
} from './machine/machine.js';
export { processStartTicks } from './process/process-identity.js';
export { cpuModelFor, probeQemu, QemuUnusable, runsCpuModel } from './host/probe.js';
export type { QemuFacts } from './host/probe.js';
export { findRunningVmms } from './process/running-vmms.js';
export type { RunningVmm } from './process/running-vmms.js';
export { cancelJobs, runJob } from './process/block-jobs.js';
export { deleteNodes, readDiskState } from './process/disk-state.js';
export type { DiskState } from './process/disk-state.js';
export type { Reach } from './process/confinement.js';
export { Cgroup } from './process/cgroup.js';
export { Cgroups } from './process/cgroups.js';
export { DEFAULT_VMM_UIDS, NotWalled, wallCommand } from './process/vmm-user.js';
export type { UidRange, VmmUser } from './process/vmm-user.js';
export { MEMORY_LIMIT, readConsoleTail } from './process/last-words.js';
export type { LastWords } from './process/last-words.js';
export { processAnonymousBytes, processUsage } from './process/usage.js';
export { DEFAULT_QEMU_PATH, GuestEnded, Vmm, VmmGone, VmmSilent, VmmStartFailed } from './process/vmm.js';
export type { VmmExit } from './process/vmm-process.js';
