/**
 * The peer: the same image in unmodified QEMU, without the pager, and what QEMU itself offers for saving a running VM.
 *
 *   background-snapshot  a migration that write-protects all of RAM and writes it while the guest runs
 *   savevm               RAM, devices and disk into the overlay, with the VM stopped
 *   stop-copy            stop, migrate to a file, run
 *
 * Everything they write goes to tmpfs, which is the best case for them. The machine is ours in every other respect: same
 * devices, same disk options, same accelerator. Its pause is the time between QEMU's own STOP and RESUME events.
 *
 * It is stopped while others are measured, and runs for a moment before its turn.
 *
 * Not handled: the guest's disk, in background-snapshot and stop-copy; QEMU leaves it to further commands.
 */
import { execa } from 'execa';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentClient, type ChannelAddress } from '../agent/index.js';
import { compact, monotonicMs, ResourceStack, sleep } from '../base/index.js';
import { kernelCmdline, type Image } from '../image/index.js';
import { QmpCommandError, type QmpEvent } from '../qmp/index.js';
import { claimGuest } from '../sandbox/start/identity.js';
import {
  chooseAccelerator,
  cpuModelFor,
  hostForwardPort,
  probeQemu,
  Vmm,
  type MachineSpec,
  type QemuFacts,
  type WantedAccelerator,
} from '../vmm/index.js';
import { agentGuest, type Guest } from './guest.js';

/** The ways to save it. */
export type StockMode = 'stock-background-snapshot' | 'stock-savevm' | 'stock-stop-copy';

/** One saving. `fileBytes` is absent where there is no file of its own. */
export interface StockSaving {
  readonly pauseMs: number;
  readonly completionMs: number;
  readonly fileBytes?: number;
}

const BOOT_DEADLINE_MS = 180_000;
const SAVE_DEADLINE_MS = 180_000;
const WAKE_MS = 1_000;
const MIGRATION_BYTES_PER_SECOND = 2 ** 40;
const MAX_CONT_ATTEMPTS = 1000;
const SAVEVM_TAG = 'bench';

export class StockMachine {
  readonly guest: Guest;
  readonly agent: AgentClient;
  /** A port: there is no gate in it. */
  readonly agentAddress: ChannelAddress;
  readonly #vmm: Vmm;
  readonly #statePath: string;
  readonly #stateUri: string;
  readonly #resources: ResourceStack;

  private constructor(
    vmm: Vmm,
    { agent, agentAddress }: { agent: AgentClient; agentAddress: ChannelAddress },
    state: { path: string; uri: string },
    resources: ResourceStack,
  ) {
    this.#vmm = vmm;
    this.agent = agent;
    this.guest = agentGuest(agent);
    this.agentAddress = agentAddress;
    this.#statePath = state.path;
    this.#stateUri = state.uri;
    this.#resources = resources;
  }

  /** Boots the image and waits until its interpreter is warm. On failure nothing is left. */
  static async boot({
    image,
    cacheDir,
    qemuPath,
    wanted = 'auto',
    network,
    signal,
  }: {
    image: Image;
    cacheDir: string;
    qemuPath?: string | undefined;
    wanted?: WantedAccelerator | undefined;
    /** What the guest reaches: its agent's port alone, or also whatever this host reaches. */
    network: 'restricted' | 'unrestricted';
    signal: AbortSignal;
  }): Promise<StockMachine> {
    await using undo = new ResourceStack();
    const dir = await mkdtemp('/dev/shm/bough-stock-');
    undo.defer(() => rm(dir, { recursive: true, force: true }));
    const overlayPath = join(dir, 'overlay.qcow2');
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', overlayPath, String(image.rootfsBytes)]);
    const qemu = await probeQemu(qemuPath);
    const { accelerator } = await chooseAccelerator({ qemu, wanted, cacheDir, ...bootFiles(image) });
    const spec = stockSpec(image, {
      machineType: qemu.machineType,
      accelerator,
      overlayPath,
      qmpSocketPath: join(dir, 'qmp'),
      // As it is behind the gate, and there is none.
      gated: network === 'unrestricted',
    });
    const vmm = await Vmm.start({ spec, logPath: join(dir, 'qemu.log'), qemuPath: qemu.qemuPath, signal });
    undo.defer(() => vmm.kill());
    await vmm.qmp.execute('migrate-set-parameters', { 'max-bandwidth': MIGRATION_BYTES_PER_SECOND });
    await vmm.qmp.execute('cont');
    const hostPort = await hostForwardPort(vmm.qmp, image.agentPort);
    const agentAddress = { host: '127.0.0.1', port: hostPort };
    const secret = await claimGuest(agentAddress, { deadlineMs: BOOT_DEADLINE_MS }, signal);
    const agent = new AgentClient({ ...agentAddress, secret });
    const path = join(dir, 'state');
    return new StockMachine(vmm, { agent, agentAddress }, { path, uri: fileUri(qemu, path) }, undo.move());
  }

  /** Stops it until `wake()`. */
  async rest(): Promise<void> {
    await this.#vmm.qmp.execute('stop');
  }

  /** Lets it run again and gives it a moment to become idle. */
  async wake(): Promise<void> {
    await this.#vmm.qmp.execute('cont');
    await sleep(WAKE_MS);
  }

  /** Lets it run for as long as `work` does. */
  async awake<T>(work: () => Promise<T>): Promise<T> {
    await this.wake();
    try {
      return await work();
    } finally {
      await this.rest();
    }
  }

  /** Saves it in one of the ways and throws the result away. */
  async save(mode: StockMode): Promise<StockSaving> {
    if (mode === 'stock-savevm') return this.#saveVm();
    try {
      const times = await this.#measured(() =>
        mode === 'stock-stop-copy' ? this.#stopAndMigrate() : this.#migrateInBackground(),
      );
      return { ...times, fileBytes: (await stat(this.#statePath)).size };
    } finally {
      await rm(this.#statePath, { force: true });
    }
  }

  /** Ends it. Idempotent. */
  close(): Promise<void> {
    return this.#resources.close();
  }

  async #saveVm(): Promise<StockSaving> {
    const times = await this.#measured(() => this.#monitor(`savevm ${SAVEVM_TAG}`));
    await this.#monitor(`delvm ${SAVEVM_TAG}`);
    return times;
  }

  async #stopAndMigrate(): Promise<void> {
    await this.#setCapability('background-snapshot', false);
    await this.#vmm.qmp.execute('stop');
    try {
      await this.#migrate();
    } finally {
      await this.#contAfterMigration();
    }
  }

  /** QEMU tells that a migration is complete some time before it lets the VM run on. */
  async #contAfterMigration(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#vmm.qmp.execute('cont');
        return;
      } catch (error) {
        if (!(error instanceof QmpCommandError) || attempt === MAX_CONT_ATTEMPTS) throw error;
        await sleep(1);
      }
    }
  }

  async #migrateInBackground(): Promise<void> {
    await this.#setCapability('background-snapshot', true);
    await this.#migrate();
  }

  async #setCapability(capability: string, state: boolean): Promise<void> {
    const capabilities = [
      { capability: 'events', state: true },
      { capability, state },
    ];
    await this.#vmm.qmp.execute('migrate-set-capabilities', { capabilities });
  }

  async #migrate(): Promise<void> {
    const { qmp } = this.#vmm;
    const hasEnded = ({ data }: QmpEvent) => data['status'] === 'completed' || data['status'] === 'failed';
    const ended = qmp.waitEvent('MIGRATION', hasEnded, { timeoutMs: SAVE_DEADLINE_MS });
    ended.catch(() => undefined);
    await qmp.execute('migrate', { uri: this.#stateUri });
    if ((await ended).data['status'] === 'completed') return;
    const { 'error-desc': reason } = await qmp.execute('query-migrate');
    throw new Error(`QEMU could not migrate to a file: ${reason ?? 'no reason given'}`);
  }

  /** A command of the human monitor; what it prints is an error. */
  async #monitor(commandLine: string): Promise<void> {
    const printed = await this.#vmm.qmp.execute(
      'human-monitor-command',
      { 'command-line': commandLine },
      { timeoutMs: SAVE_DEADLINE_MS },
    );
    if (printed.trim() !== '') throw new Error(`QEMU's ${commandLine}: ${printed.trim()}`);
  }

  async #measured(work: () => Promise<void>): Promise<{ pauseMs: number; completionMs: number }> {
    const events: QmpEvent[] = [];
    const note = (event: QmpEvent) => void events.push(event);
    const { qmp } = this.#vmm;
    qmp.on('event', note);
    try {
      const began = monotonicMs();
      await work();
      const completionMs = monotonicMs() - began;
      return { pauseMs: stoppedMs(events), completionMs };
    } finally {
      qmp.off('event', note);
    }
  }
}

/** Time between STOP and RESUME events, summed, by QEMU's own clock; throws unless each stop is followed by a resume. */
export function stoppedMs(events: readonly Pick<QmpEvent, 'event' | 'unixMs'>[]): number {
  let totalMs = 0;
  let stoppedAt: number | undefined;
  let count = 0;
  for (const { event, unixMs } of events) {
    if (event === 'STOP') stoppedAt = unixMs;
    if (event !== 'RESUME' || stoppedAt === undefined) continue;
    totalMs += unixMs - stoppedAt;
    stoppedAt = undefined;
    count++;
  }
  if (stoppedAt !== undefined || count === 0)
    throw new Error('QEMU did not tell when it stopped and ran again');
  return totalMs;
}

function stockSpec(
  image: Image,
  host: Pick<MachineSpec, 'machineType' | 'accelerator' | 'qmpSocketPath'> & {
    overlayPath: string;
    gated: boolean;
  },
): MachineSpec {
  const { machineType, accelerator, qmpSocketPath, overlayPath, gated } = host;
  return {
    name: 'bough-bench-stock',
    ...{ machineType, accelerator, qmpSocketPath },
    cpuModel: cpuModelFor(accelerator),
    vcpus: image.vcpus,
    memoryMiB: image.memoryMiB,
    boot: { ...bootFiles(image), cmdline: kernelCmdline(accelerator, image) },
    disk: [
      { path: image.rootfsPath, format: 'raw', readOnly: true },
      { path: overlayPath, format: 'qcow2', readOnly: false },
    ],
    network: { agentPort: image.agentPort, gated },
    console: 'ringbuf',
    incoming: false,
    // Its filter forbids the process that `exec:` needs.
    seccomp: false,
  };
}

function bootFiles({ kernelPath, initrdPath }: Image): { kernelPath: string; initrdPath?: string } {
  return { kernelPath, ...compact({ initrdPath }) };
}

/** `file:` exists since QEMU 8.2; before it, a process copies. */
export function fileUri({ version }: Pick<QemuFacts, 'version'>, path: string): string {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 8 || (major === 8 && minor >= 2) ? `file:${path}` : `exec:cat > ${path}`;
}
