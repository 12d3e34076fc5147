/** Whether this host can run what a snapshot holds: asked of its manifest, before anything of it is loaded. */
import { BoughError } from '../../contract/index.js';
import { findImage } from '../../image/index.js';
import type { Manifest } from '../../store/index.js';
import {
  chooseAccelerator,
  cpuModelFor,
  DEVICE_LAYOUT,
  DEVICE_LAYOUTS,
  DeviceStateRejected,
  hostProcessor,
  knownAccelerator,
  runsCpuModel,
  type Accelerator,
} from '../../vmm/index.js';
import type { HostContext } from '../host/context.js';
import { NO_RECIPE } from './made-again.js';

/** What is to be known of a snapshot. */
type Facts = Pick<Manifest, 'tag' | 'machine' | 'image' | 'recipe'>;

/** What this host would run a snapshot with that was made under KVM. */
export type AcceleratorInsteadOfKvm = (context: HostContext, manifest: Facts) => Promise<Accelerator>;

/** Refuses, by name, a snapshot made with something else than what this host would run it with: `snapshot_incompatible`. */
export async function checkCompatible(
  context: HostContext,
  manifest: Facts,
  insteadOfKvm: AcceleratorInsteadOfKvm = kvmOrInstead,
): Promise<void> {
  const { qemu } = context.vmHost;
  const { machine, tag } = manifest;
  // QEMU always has TCG, so what was made with it runs where KVM works too.
  const accelerator = machine.accel === 'tcg' ? 'tcg' : await insteadOfKvm(context, manifest);
  const layout = DEVICE_LAYOUTS.includes(machine.deviceLayout) ? machine.deviceLayout : DEVICE_LAYOUT;
  const pairs: [field: string, wanted: string, found: string][] = [
    ['QEMU version', releaseSeries(machine.qemuVersion), releaseSeries(qemu.version)],
    ['machine type', machine.machineType, qemu.machineType],
    ['accelerator', machine.accel, accelerator],
    ...(runsCpuModel(accelerator, machine.cpuModel)
      ? []
      : [['CPU model', machine.cpuModel, cpuModelFor(accelerator)] satisfies [string, string, string]]),
    ...(machine.processor === undefined
      ? []
      : [['processor', machine.processor, await hostProcessor()] satisfies [string, string, string]]),
    ['device layout', String(machine.deviceLayout), String(layout)],
  ];
  for (const [field, wanted, found] of pairs) {
    if (wanted !== found) {
      const again = manifest.recipe === undefined ? { again: NO_RECIPE } : {};
      throw new BoughError('snapshot_incompatible', { tag, field, wanted, found, ...again });
    }
  }
}

/**
 * `7.2` of `7.2.22`. The third number counts corrections, which a distribution ships as security updates; QEMU keeps what a machine type
 * saves the same through them. Should one load nothing all the same, its load says so.
 */
function releaseSeries(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

/** What a start that failed is told as: a state that was not loaded may be another correction's. */
export function loadFailure(
  { tag, machine }: Pick<Manifest, 'tag' | 'machine'>,
  found: string,
  error: unknown,
): unknown {
  const wanted = machine.qemuVersion;
  if (!(error instanceof DeviceStateRejected) || wanted === found) return error;
  const facts = { tag, field: 'QEMU version', wanted, found, problem: error.message };
  return new BoughError('snapshot_incompatible', facts, { cause: error });
}

/** A KVM that opens and was never tried is tried with the snapshot's image, or believed where that is not here. */
async function kvmOrInstead({ vmHost, cacheDir }: HostContext, { image }: Facts): Promise<Accelerator> {
  const { qemu, wantedAccelerator: wanted = 'auto' } = vmHost;
  const known = await knownAccelerator({ qemu, wanted, cacheDir });
  if (known !== undefined) return known.accelerator;
  const built = await findImage(cacheDir, image.name).catch(() => undefined);
  if (built === undefined) return 'kvm';
  const { kernelPath, initrdPath } = built;
  const initrd = initrdPath === undefined ? {} : { initrdPath };
  return (await chooseAccelerator({ qemu, wanted, cacheDir, kernelPath, ...initrd })).accelerator;
}
