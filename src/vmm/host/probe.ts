/**
 * What this host's QEMU is and can do, asked of QEMU itself.
 *
 * One short-lived process without a machine, under the seccomp filter if it has one, answers over QMP on its own stdin and stdout:
 * about 20 ms, and nothing is parsed from help texts.
 */
import { execFile, type ExecFileException } from 'node:child_process';
import { promisify } from 'node:util';
import { messageOf } from '../../base/index.js';
import { parseMessage, type QmpMessage } from '../../qmp/index.js';
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
const MACHINES_ID = QUESTIONS.indexOf('query-machines');

/**
 * The host's processor, without what only makes KVM's surface wider: virtual machines in the guest, and counters that time the host's
 * caches to the cycle.
 */
const KVM_CPU_MODEL = 'host,svm=off,vmx=off,pmu=off';
/**
 * All that TCG has, without the word that `rep movsb` and `rep stosb` are fast (it carries them out byte by byte), and without page tables
 * of five levels: no guest has 64 TiB, and TCG walks them in software.
 */
const TCG_CPU_MODEL = 'max,erms=off,fsrm=off,la57=off';
/** As snapshots were made before; a guest that was captured with it goes on with it. */
const EARLIER_CPU_MODELS: Readonly<Record<Accelerator, readonly string[]>> = {
  kvm: ['host'],
  tcg: ['max', 'max,erms=off,fsrm=off'],
};

/** The CPU model a guest is booted with under `accelerator`. */
export function cpuModelFor(accelerator: Accelerator): string {
  return accelerator === 'kvm' ? KVM_CPU_MODEL : TCG_CPU_MODEL;
}

/** Whether a guest that has this CPU model goes on under `accelerator`: one that this version boots guests with, or that one before did. */
export function runsCpuModel(accelerator: Accelerator, cpuModel: string): boolean {
  return cpuModel === cpuModelFor(accelerator) || EARLIER_CPU_MODELS[accelerator].includes(cpuModel);
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
  messages: QmpMessage[];
  stderr: string;
}

async function askQemu(qemuPath: string, extra: readonly string[]): Promise<Answers> {
  const input = QUESTIONS.map((execute, id) => `${JSON.stringify({ execute, id })}\n`).join('');
  const args = ['-M', 'none', '-nodefaults', '-no-user-config', '-display', 'none', '-S', '-qmp', 'stdio'];
  const options = { timeout: PROBE_TIMEOUT_MS, killSignal: 'SIGKILL', env: {}, cwd: '/' } as const;
  const running = promisify(execFile)(qemuPath, [...args, ...extra], options);
  // What does not read its input is no QEMU, and is told by what it answers.
  running.child.stdin?.on('error', () => undefined).end(input);
  const answered = (
    ok: boolean,
    { stdout = '', stderr = '' }: { stdout?: string; stderr?: string },
    otherwise = '',
  ): Answers => ({
    ok,
    messages: stdout.split('\n').flatMap(messageIn),
    stderr: (stderr || otherwise).trim().slice(-500),
  });
  try {
    return answered(true, await running);
  } catch (error) {
    return answered(false, error as ExecFileException, messageOf(error));
  }
}

/** A program that is no QEMU may say anything. */
function messageIn(line: string): QmpMessage[] {
  try {
    return [parseMessage(line)];
  } catch {
    return [];
  }
}

function findVersion(messages: readonly QmpMessage[]): string | undefined {
  return messages.find((message) => message.kind === 'greeting')?.qemuVersion;
}

function findMachineType(messages: readonly QmpMessage[]): string | undefined {
  const answer = messages.find((message) => message.kind === 'return' && message.id === MACHINES_ID);
  const machines =
    answer?.kind === 'return' && Array.isArray(answer.value) ? (answer.value as unknown[]) : [];
  return (machines as { alias?: string; name?: string }[]).find(({ alias }) => alias === 'pc')?.name;
}
