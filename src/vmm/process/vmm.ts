/**
 * One QEMU process and the daemon's connection to it.
 *
 *   start() ─▶ running ──── kill() ───────▶ gone
 *   adopt() ─▶    └──── exits by itself ──▶
 *
 * A Vmm that exists answers QMP. Every wait races `exited`, so a process that dies is told from one that is slow, with the end of
 * its log. The process outlives the daemon; `release()` lets go of it without touching it.
 *
 * QEMU stands still when its guest has powered off or rebooted, until somebody has read what the guest left and ends it. Whoever holds
 * the Vmm sees it exit.
 *
 * Not handled: anything inside the guest.
 */
import { open, stat } from 'node:fs/promises';
import {
  abortReason,
  anyOf,
  compact,
  monotonicMs,
  ResourceStack,
  sleep,
  withDeadline,
} from '../../base/index.js';
import { QmpClient, QmpDisconnected } from '../../qmp/index.js';
import { qemuArgv, type MachineSpec } from '../machine/machine.js';
import type { Cgroup } from './cgroup.js';
import { confinedLaunch, type Reach } from './confinement.js';
import { guestsOwnEnd, MEMORY_LIMIT, readConsoleTail, type LastWords } from './last-words.js';
import { isSameProcess, isStopped, runsVmNamed } from './process-identity.js';
import { requireWalled, wallCommand, type VmmUser } from './vmm-user.js';
import { spawnVmmProcess, watchVmmProcess, type VmmExit, type VmmProcess } from './vmm-process.js';

export const DEFAULT_QEMU_PATH = '/usr/bin/qemu-system-x86_64';

const CONNECT_RETRY_MS = 2;
const QUIT_GRACE_MS = 1_000;
const KILL_GRACE_MS = 10_000;
const STOPPED_POLL_MS = 250;
const STOPPED_GRACE_MS = 2_000;
const LOG_TAIL_BYTES = 4096;

/** `deadlineMs` (default 10,000) bounds the time until QMP answers; the signal cancels the start, not a started VMM. */
export interface VmmStartOptions {
  spec: MachineSpec;
  logPath: string;
  qemuPath?: string;
  /** Loaded into QEMU with LD_PRELOAD. */
  pagerLibrary?: string;
  /** Loaded before the pager. */
  gateLibrary?: string;
  /** It runs in it, and is the last that does. */
  group?: Cgroup | undefined;
  /** It runs as that user; as the daemon's without. */
  user?: VmmUser | undefined;
  /** It reaches these files and no others, and makes no connection. Without, what its user may. */
  reach?: Reach | undefined;
  /** QEMU's whole environment besides LD_PRELOAD. */
  env?: Readonly<Record<string, string>>;
  signal?: AbortSignal;
  deadlineMs?: number;
}

/** What an earlier daemon noted about a VMM. */
export interface VmmAdoptOptions {
  name: string;
  pid: number;
  startTimeTicks: number;
  qmpSocketPath: string;
  logPath: string;
  /** That it was started in. */
  group?: Cgroup | undefined;
  signal?: AbortSignal;
  deadlineMs?: number;
}

/** QEMU ended before it answered; `logTail` holds at most its last 4 KiB of output. */
export class VmmStartFailed extends Error {
  override readonly name = 'VmmStartFailed';
  readonly exitCode: number | null;
  readonly exitSignal: NodeJS.Signals | null;
  readonly logTail: string;

  constructor(exit: VmmExit, logTail: string) {
    const { code, signal } = exit === 'gone' ? { code: null, signal: null } : exit;
    const lastLine = logTail.trimEnd().split('\n').at(-1) ?? '';
    super(`QEMU ended at start with ${signal ?? `status ${code ?? 'unknown'}`}: ${lastLine}`);
    this.exitCode = code;
    this.exitSignal = signal;
    this.logTail = logTail;
  }
}

/** The process of a sandbox is not there any more, or its pid now means another process; nothing was signalled. */
export class VmmGone extends Error {
  override readonly name = 'VmmGone';
}

/** The guest ended by itself while no daemon listened; its VMM has been ended now. */
export class GuestEnded extends Error {
  override readonly name = 'GuestEnded';
  readonly lastWords: LastWords;

  constructor(name: string, lastWords: LastWords = { reason: undefined, consoleTail: '' }) {
    super(`The guest of ${name} has ended`);
    this.lastWords = lastWords;
  }
}

/** The process is there and does not do what it was asked to. */
export class VmmSilent extends Error {
  override readonly name = 'VmmSilent';
}

export class Vmm {
  readonly qmp: QmpClient;
  /** Settles when the process has ended and nothing is left of it; never rejects. */
  readonly exited: Promise<VmmExit>;
  /** What limits it. */
  readonly group: Cgroup | undefined;
  readonly #process: VmmProcess;
  readonly #logPath: string;
  #killing: Promise<void> | undefined;
  #lastWords: LastWords | undefined;

  private constructor(process: VmmProcess, qmp: QmpClient, logPath: string, group: Cgroup | undefined) {
    this.#process = process;
    this.#logPath = logPath;
    this.qmp = qmp;
    this.group = group;
    this.exited = process.exited.then(async (exit) => {
      await this.#leaveGroup();
      return exit;
    });
    qmp.once('close', () => process.expectExit());
    void process.exited.then(() => qmp.drain());
    qmp.on('event', (event) => {
      const reason = guestsOwnEnd(event);
      if (reason !== undefined) void this.#buryGuest(reason).catch(() => undefined);
    });
  }

  /** Of a guest that ended by itself, or took more than it may; known when the process has exited. */
  get lastWords(): LastWords | undefined {
    return this.#lastWords;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Start of the process in clock ticks since boot. */
  get startTimeTicks(): number {
    return this.#process.startTimeTicks;
  }

  /**
   * Starts a VM, stopped. Rejects with VmmStartFailed if QEMU ends, QmpTimeout or DeadlineExceeded if it is silent, or the
   * signal's reason; no process remains then.
   */
  static async start(options: VmmStartOptions): Promise<Vmm> {
    const { spec, logPath, pagerLibrary, gateLibrary, group, user, signal, deadlineMs = 10_000 } = options;
    if (signal?.aborted === true) throw abortReason(signal);
    await using undo = new ResourceStack();
    const launch = {
      qemuPath: options.qemuPath ?? DEFAULT_QEMU_PATH,
      argv: qemuArgv(spec),
      // The gate looks at who calls listen(), so nobody may stand before it; its close() goes on to the pager's.
      libraries: [gateLibrary, pagerLibrary].filter((library) => library !== undefined),
    };
    const process = await spawnVmmProcess({
      ...(options.reach === undefined ? launch : confinedLaunch(launch, options.reach)),
      env: options.env ?? {},
      logPath,
      ...compact({ entrances: group?.entrances, walls: user && (await wallsFor(user, spec)) }),
    });
    undo.defer(() => killAndWait(process));
    const qmp = await connectTo(process, spec.qmpSocketPath, logPath, { deadlineMs, signal });
    if (user !== undefined) await requireWalled(process.pid, user.uid);
    undo.move();
    return new Vmm(process, qmp, logPath, group);
  }

  /**
   * Takes over a VMM from an earlier daemon. Rejects with VmmGone if the pid is free or means another process, which is left
   * alone; rejects as `start` does if the VMM does not answer, and leaves it running then: the caller decides with `killOrphan`.
   */
  static async adopt(options: VmmAdoptOptions): Promise<Vmm> {
    const process = await findVmm(options);
    const { qmpSocketPath, logPath, signal, deadlineMs = 2_000 } = options;
    let qmp: QmpClient | undefined;
    try {
      qmp = await connectTo(process, qmpSocketPath, logPath, { deadlineMs, signal });
      const vmm = new Vmm(process, qmp, logPath, options.group);
      if ((await qmp.execute('query-status', undefined, { timeoutMs: deadlineMs })).status === 'shutdown') {
        await vmm.#buryGuest(undefined);
        throw new GuestEnded(options.name, vmm.lastWords);
      }
      return vmm;
    } catch (error) {
      // QEMU serves one client at a time: a connection that is left open locks out every later try.
      await qmp?.close();
      process.release();
      throw error;
    }
  }

  /** Kills a VMM of an earlier daemon that cannot be adopted; does nothing if it is gone or the pid means another process. */
  static async killOrphan(options: Pick<VmmAdoptOptions, 'name' | 'pid' | 'startTimeTicks'>): Promise<void> {
    try {
      await killAndWait(await findVmm(options));
    } catch (error) {
      if (!(error instanceof VmmGone)) throw error;
    }
  }

  /**
   * Settles as `work`, which this VMM does; rejects with VmmSilent once the process has been stopped for 2 s, or after `deadlineMs`.
   * The work is not cancelled: it may still be done when the process goes on.
   */
  async whileAnswering<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
    const over = new AbortController();
    try {
      return await Promise.race([work, this.#fallsSilent(deadlineMs, over.signal)]);
    } finally {
      over.abort();
    }
  }

  async #fallsSilent(deadlineMs: number, signal: AbortSignal): Promise<never> {
    let stoppedMs = 0;
    for (let waitedMs = 0; waitedMs < deadlineMs; waitedMs += STOPPED_POLL_MS) {
      await sleep(STOPPED_POLL_MS, signal);
      stoppedMs = (await isStopped(this.pid).catch(() => false)) ? stoppedMs + STOPPED_POLL_MS : 0;
      if (stoppedMs > STOPPED_GRACE_MS) throw new VmmSilent(`Process ${this.pid} has been stopped`);
    }
    throw new VmmSilent(`Process ${this.pid} did not answer within ${deadlineMs} ms`);
  }

  /** The end of QEMU's output, at most 4 KiB. */
  logTail(): Promise<string> {
    return readTail(this.#logPath);
  }

  /**
   * Ends the VM at once and resolves when the process is gone. Idempotent. Rejects with DeadlineExceeded if the
   * process is still there after `deadlineMs`, as one that waits for a broken disk may be; trying again makes sense.
   */
  kill(deadlineMs = KILL_GRACE_MS): Promise<void> {
    this.#killing ??= killAndWait(this.#process, deadlineMs)
      .then(() => this.qmp.close())
      .finally(() => (this.#killing = undefined));
    return this.#killing;
  }

  /** Lets go of the VM, which runs on: closes QMP and stops watching the process. */
  async release(): Promise<void> {
    this.#process.release();
    await this.qmp.close();
  }

  async #leaveGroup(): Promise<void> {
    if (await this.group?.hasRunOut()) this.#lastWords ??= { reason: MEMORY_LIMIT, consoleTail: '' };
    // One that is left is removed by the next daemon.
    await this.group?.remove().catch(() => undefined);
  }

  async #buryGuest(reason: string | undefined): Promise<void> {
    this.#lastWords = { reason, consoleTail: '' };
    this.#lastWords = { reason, consoleTail: await readConsoleTail(this.qmp) };
    await this.qmp.execute('quit', undefined, { timeoutMs: QUIT_GRACE_MS }).catch(() => undefined);
    await withDeadline(this.exited, QUIT_GRACE_MS, 'The end of QEMU').catch(() => this.kill());
  }
}

/** Under KVM it has to open the device. */
async function wallsFor(
  { uid, readersGid }: VmmUser,
  { accelerator }: Pick<MachineSpec, 'accelerator'>,
): Promise<string[]> {
  const device = accelerator === 'kvm' ? [(await stat('/dev/kvm')).gid] : [];
  return wallCommand(uid, [readersGid, ...device]);
}

async function findVmm(noted: Pick<VmmAdoptOptions, 'name' | 'pid' | 'startTimeTicks'>): Promise<VmmProcess> {
  const { name, pid, startTimeTicks } = noted;
  if (!(await isSameProcess(pid, startTimeTicks)) || !(await runsVmNamed(pid, name))) {
    throw new VmmGone(`VMM of ${name} is gone: process ${pid} is not the one that was noted`);
  }
  return watchVmmProcess(pid, startTimeTicks);
}

async function killAndWait(process: VmmProcess, deadlineMs = KILL_GRACE_MS): Promise<void> {
  await process.signal('SIGKILL');
  await withDeadline(process.exited, deadlineMs, `Killing VMM process ${process.pid}`);
}

/** Connects as soon as the socket is there; QEMU needs 45-95 ms to bind and greet, so a retry every 2 ms is not felt. */
async function connectTo(
  process: VmmProcess,
  socketPath: string,
  logPath: string,
  { deadlineMs, signal }: { deadlineMs: number; signal: AbortSignal | undefined },
): Promise<QmpClient> {
  const deadline = monotonicMs() + deadlineMs;
  const stop = new AbortController();
  let connecting = true;
  const failed = process.exited.then(async (exit) => {
    if (!connecting) return undefined;
    const error = new VmmStartFailed(exit, await readTail(logPath));
    stop.abort(error);
    return error;
  });
  try {
    for (;;) {
      const timeoutMs = Math.max(1, deadline - monotonicMs());
      try {
        return await QmpClient.connect(socketPath, { timeoutMs, signal: anyOf(stop.signal, signal) });
      } catch (error) {
        const notThereYet = error instanceof QmpDisconnected && monotonicMs() < deadline;
        if (!notThereYet) throw error;
      }
      const ended = await Promise.race([failed, sleep(CONNECT_RETRY_MS, signal)]);
      if (ended !== undefined) throw ended;
    }
  } finally {
    connecting = false;
  }
}

async function readTail(path: string): Promise<string> {
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return '';
  try {
    const { size } = await file.stat();
    const bytes = Math.min(size, LOG_TAIL_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, size - bytes);
    return buffer.subarray(0, bytesRead).toString('utf8');
  } finally {
    await file.close();
  }
}
