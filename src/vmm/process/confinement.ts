/**
 * A VMM that opens no file but what a virtual machine needs, and makes no connection: it is started by bough-confine (native/gate/confine.c), which asks
 * Landlock for that and then becomes QEMU, or runs nothing.
 *
 * Invariant: what is not named here is not there for it, whatever its mode says. Modes and owners still decide about what is named.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LAUNCHER_NAME, type SpawnOptions } from './vmm-process.js';

/** Built beside the TypeScript, as the gate is. */
export const CONFINE_PROGRAM = fileURLToPath(
  new URL('../../../../native/gate/build/bough-confine', import.meta.url),
);

/** Files, and folders with all that is in them. Those that are not there are passed over. */
export interface Reach {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  /** It runs as the daemon's user: all else is not even there, and what is read cannot be written. The path of more folders decides. */
  readonly namespaced?: boolean;
}

/** QEMU's own files and libraries, and what it and the pager ask the kernel. */
const SYSTEM_READS = ['/usr', '/lib', '/lib64', '/etc/ld.so.cache', '/proc', '/sys/devices/system'];
const DEVICES = ['/dev/null', '/dev/zero', '/dev/random', '/dev/urandom', '/dev/kvm'];

/** Firmware and libraries of a QEMU that is not Debian's. */
const besideOf = (qemuPath: string): string[] =>
  ['lib', 'lib64', 'libexec', 'share'].map((folder) => join(dirname(dirname(qemuPath)), folder));

type Launch = Pick<SpawnOptions, 'qemuPath' | 'argv' | 'libraries'>;

/** The same, by way of the program that confines. */
export function confinedLaunch(
  { qemuPath, argv, libraries }: Launch,
  { reads, writes, namespaced = false }: Reach,
): Launch {
  const readable = [...SYSTEM_READS, qemuPath, ...besideOf(qemuPath), ...libraries, ...reads];
  const rules = [
    ...readable.map((path) => `read=${path}`),
    ...[...DEVICES, ...writes].map((path) => `write=${path}`),
  ];
  return {
    qemuPath: CONFINE_PROGRAM,
    argv: [
      ...[LAUNCHER_NAME, libraries.join(' '), ...(namespaced ? ['namespaced'] : []), ...rules],
      ...['--', qemuPath, ...argv],
    ],
    libraries: [],
  };
}
