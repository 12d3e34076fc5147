/**
 * A sandbox: an identity, its record on disk, and the VM behind it.
 *
 *   running ──its VMM ends──▶ failed ──remove()──▶ (gone)
 *      └───────────remove()─────────────────────────▲
 *
 * Invariant: a Sandbox that exists has a record on disk, and a VMM that ran when it was made. What happens to the VMM
 * later is noticed here and told by `state`; nothing here ever stops a VM but `remove()`.
 */
import { readFile } from 'node:fs/promises';
import { AgentClient } from '../agent/index.js';
import { BoughError, type Sandbox as WireSandbox, type SandboxState } from '../contract/index.js';
import { removeSandboxFolders, type SandboxPaths } from './paths.js';
import { writeRecord, type SandboxRecord } from './record.js';
import type { Vm } from './vm.js';

export class Sandbox {
  readonly paths: SandboxPaths;
  readonly agent: AgentClient;
  /** Set while a branch is under way; one at a time. */
  branching = false;
  readonly #vm: Vm;
  readonly #seccomp: boolean;
  #record: SandboxRecord;
  #removing: Promise<void> | undefined;

  private constructor(paths: SandboxPaths, record: SandboxRecord, vm: Vm, seccomp: boolean) {
    this.paths = paths;
    this.#record = record;
    this.#vm = vm;
    this.#seccomp = seccomp;
    this.agent = new AgentClient({ host: '127.0.0.1', port: vm.agentHostPort, secret: record.agent.secret });
  }

  /** Takes over a VM whose record is on disk, and watches it from now on. */
  static own(paths: SandboxPaths, record: SandboxRecord, vm: Vm, seccomp: boolean): Sandbox {
    const sandbox = new Sandbox(paths, record, vm, seccomp);
    void vm.vmm.exited.then((exit) =>
      sandbox.#ended(exit === 'gone' ? 'its process is gone' : describe(exit)),
    );
    return sandbox;
  }

  get id(): string {
    return this.#record.id;
  }

  get record(): SandboxRecord {
    return this.#record;
  }

  get vm(): Vm {
    return this.#vm;
  }

  get state(): SandboxState {
    return this.#record.failure === undefined ? 'running' : 'failed';
  }

  /** Throws `sandbox_not_running` unless its VMM runs. */
  requireRunning(): void {
    if (this.state !== 'running')
      throw new BoughError('sandbox_not_running', { id: this.id, state: this.state });
  }

  /** Changes the record, in memory at once and then on disk. */
  async update(changes: Partial<SandboxRecord>): Promise<void> {
    this.#record = { ...this.#record, ...changes };
    if (this.#removing === undefined) await writeRecord(this.paths.record, this.#record);
  }

  /** Ends the VM and removes everything; resolves when the process is gone. Idempotent. */
  remove(): Promise<void> {
    this.#removing ??= (async () => {
      await this.#vm.vmm.kill();
      await this.#vm.pager.close();
      await removeSandboxFolders(this.paths);
    })();
    return this.#removing;
  }

  /** Lets go of the VM, which runs on for the next daemon. */
  async release(): Promise<void> {
    await this.#vm.pager.close();
    await this.#vm.vmm.release();
  }

  /** Bytes of anonymous memory of the VMM: an upper bound of its guest's private pages. */
  async privateBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.#vm.vmm.pid}/status`, 'utf8');
    const kib = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
    return (kib('RssAnon') + kib('VmSwap')) * 1024;
  }

  /** As the API shows it. */
  view(): WireSandbox {
    const record = this.#record;
    return {
      id: record.id,
      snapshot_tag: record.snapshotTag,
      guest_addr: `127.0.0.1:${this.#vm.agentHostPort}`,
      created_at_unix: record.createdAtUnix,
      has_branched: record.branchCount > 0,
      branch_count: record.branchCount,
      netns: null,
      pid: this.state === 'running' ? this.#vm.vmm.pid : null,
      memory_limit_mib: record.memoryLimitMiB ?? null,
      last_branch_memory_path: record.lastBranchMemoryPath ?? null,
      state: this.state,
      memory_mib: record.machine.memoryMiB,
      vcpus: record.machine.vcpus,
      isolation: {
        accel: record.machine.accel,
        uid: process.getuid?.() ?? -1,
        seccomp: this.#seccomp,
        cgroup: false,
      },
      ...(record.failure === undefined ? {} : { state_reason: record.failure }),
      ...(record.name === undefined ? {} : { name: record.name }),
      ...(record.metadata === undefined ? {} : { metadata: record.metadata }),
      ...(record.parent === undefined ? {} : { parent: record.parent }),
    };
  }

  async #ended(reason: string): Promise<void> {
    if (this.#removing !== undefined) return;
    const lastLine = (await this.#vm.vmm.logTail()).trimEnd().split('\n').at(-1) ?? '';
    await this.update({ failure: lastLine === '' ? reason : `${reason}: ${lastLine}` }).catch(
      () => undefined,
    );
  }
}

function describe({ code, signal }: { code: number | null; signal: NodeJS.Signals | null }): string {
  return signal === null
    ? `its VMM exited with status ${code ?? 'unknown'}`
    : `its VMM was ended by ${signal}`;
}
