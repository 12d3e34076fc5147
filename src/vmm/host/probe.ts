/**
 * What this host's QEMU is and can do, asked of QEMU itself.
 *
 * One short-lived process without a machine, under the seccomp filter if it has one, answers over QMP on its own stdin and stdout:
 * about 20 ms, and nothing is parsed from help texts.
 */
import { execa } from 'execa';
import { SANDBOX_FILTER, type Accelerator } from '../machine/machine.js';
import { DEFAULT_QEMU_PATH } from '../process/vmm.js';

/** What a snapshot is bound to, of the VMM. */
export interface QemuFacts {
  readonly qemuPath: string;
  /** Such as `7.2.22`. */
  readonly version: string;
  /** The versioned type behind `pc`, such as `pc-i440fx-7.2`. */
  readonly machineType: string;
  readonly seccomp: boolean;
}

/** There is no QEMU at that path, or it does not speak QMP, or has no `pc` machine. */
export class QemuUnusable extends Error {
  override readonly name = 'QemuUnusable';
}

const PROBE_TIMEOUT_MS = 10_000;
const QUESTIONS = ['qmp_capabilities', 'query-machines', 'quit'];

/** The CPU model that gives a guest the most under `accelerator`. */
export function cpuModelFor(accelerator: Accelerator): string {
  return accelerator === 'kvm' ? 'host' : 'max';
}

/** Starts QEMU once (twice if it has no seccomp) and reads its facts; rejects with QemuUnusable. */
export async function probeQemu(qemuPath = DEFAULT_QEMU_PATH): Promise<QemuFacts> {
  const filtered = await askQemu(qemuPath, ['-sandbox', SANDBOX_FILTER]);
  const seccomp = filtered.ok;
  const { ok, messages, stderr } = seccomp ? filtered : await askQemu(qemuPath, []);
  if (!ok) throw new QemuUnusable(`Cannot use ${qemuPath}: ${stderr}`);
  const version = findVersion(messages);
  const machineType = findMachineType(messages);
  if (version === undefined || machineType === undefined) {
    throw new QemuUnusable(`Cannot use ${qemuPath}: it tells no version or has no machine "pc"`);
  }
  return { qemuPath, version, machineType, seccomp };
}

interface Answers {
  ok: boolean;
  messages: unknown[];
  stderr: string;
}

async function askQemu(qemuPath: string, extra: readonly string[]): Promise<Answers> {
  const input = QUESTIONS.map((execute) => `${JSON.stringify({ execute })}\n`).join('');
  const args = ['-M', 'none', '-nodefaults', '-no-user-config', '-display', 'none', '-S', '-qmp', 'stdio'];
  const result = await execa(qemuPath, [...args, ...extra], {
    input,
    reject: false,
    timeout: PROBE_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    extendEnv: false,
    cwd: '/',
  });
  const messages = result.stdout.split('\n').flatMap((line): unknown[] => {
    try {
      return [JSON.parse(line)];
    } catch {
      return [];
    }
  });
  const why = result.stderr === '' ? (result.shortMessage ?? 'no answer') : result.stderr;
  return { ok: !result.failed, messages, stderr: why.trim().slice(-500) };
}

function findVersion(messages: readonly unknown[]): string | undefined {
  for (const message of messages as { QMP?: { version?: { qemu?: Record<string, number> } } }[]) {
    const qemu = message.QMP?.version?.qemu;
    if (qemu !== undefined) return `${qemu['major']}.${qemu['minor']}.${qemu['micro']}`;
  }
  return undefined;
}

function findMachineType(messages: readonly unknown[]): string | undefined {
  for (const message of messages as { return?: { alias?: string; name?: string }[] }[]) {
    if (!Array.isArray(message.return)) continue;
    return message.return.find((machine) => machine.alias === 'pc')?.name;
  }
  return undefined;
}
