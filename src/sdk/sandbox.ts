/** A sandbox as an object: an id, and a way to the daemon. Letting go of it ends nothing. */

import type {
  BranchRequestInput,
  EvalRequestInput,
  EvalResult,
  EventGap,
  ExecRequestInput,
  ExecResult,
  ForkRequestInput,
  ForkResult,
  PingResult,
  Sandbox as SandboxInfo,
  SandboxEvent,
  SandboxStats,
  Snapshot,
  TimeoutRequestInput,
} from '../contract/index.js';
import { BoughApiError } from './errors.js';
import type { EventRange } from './events.js';
import type { SandboxFiles } from './files.js';
import type { SandboxNetwork } from './network.js';
import type { ExecOutput } from './output.js';
import type { SandboxPorts } from './ports.js';
import type { Processes } from './processes.js';
import type { StreamOptions } from './reconnect.js';
import type { Sandboxes } from './sandboxes.js';
import type { SandboxTimeline } from './timeline.js';
import type { CallOptions } from './transport.js';

/**
 * One sandbox: `bough.spawn('base')` starts it, `bough.sandbox(id)` finds it again, `await using` ends it with its block.
 *
 * Calls reject with `BoughApiError` of code `sandbox_not_found` when it has ended, calls into its guest also with `sandbox_not_running`
 * and those that begin with `agent_`.
 *
 * @example
 * ```ts
 * {
 *   await using sandbox = await bough.spawn('base');
 *   const { stdout } = await sandbox.exec(['echo', 'hello']);
 *   console.log(stdout.trim()); // hello
 * }
 * console.log((await bough.sandboxes.list()).length); // 0
 * ```
 */
export class Sandbox implements AsyncDisposable {
  /** What the daemon calls it, or its name. */
  readonly id: string;
  /** Its kept processes. */
  readonly processes: Processes;
  /** Its files. */
  readonly files: SandboxFiles;
  /** Its ports. */
  readonly ports: SandboxPorts;
  /** Its network. */
  readonly network: SandboxNetwork;
  /** Points to go back to, and going back. */
  readonly timeline: SandboxTimeline;
  readonly #sandboxes: Sandboxes;

  constructor(sandboxes: Sandboxes, id: string) {
    this.#sandboxes = sandboxes;
    this.id = id;
    this.processes = sandboxes.processes(id);
    this.files = sandboxes.files(id);
    this.ports = sandboxes.ports(id);
    this.network = sandboxes.network(id);
    this.timeline = sandboxes.timeline(id);
  }

  /**
   * What the daemon says of it now.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const { snapshot_tag, state } = await sandbox.info();
   * console.log(snapshot_tag, state); // base running
   * ```
   */
  info(options?: CallOptions): Promise<SandboxInfo> {
    return this.#sandboxes.get(this.id, options);
  }

  /**
   * Runs a program in the guest and waits for it; no shell is involved. A status other than 0 is an answer, not an error.
   *
   * `timeout_secs` is the program's deadline, 30 if it is not given; past it the call rejects with code `agent_deadline`.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const { stdout, exit_code } = await sandbox.exec(['cat'], { stdin: 'from here' });
   * console.log(stdout, exit_code); // from here 0
   * ```
   */
  exec(
    args: readonly string[],
    request: Omit<ExecRequestInput, 'args'> = {},
    options?: CallOptions,
  ): Promise<ExecResult> {
    return this.#sandboxes.exec(this.id, { ...request, args: [...args] }, options);
  }

  /**
   * Runs a program and gives what it prints as it comes, all of it; who stops reading ends the program.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * for await (const piece of sandbox.execStream(['echo', 'hello']))
   *   if (piece.type === 'stdout') console.log(piece.text.trim()); // hello
   * ```
   */
  execStream(
    args: readonly string[],
    request: Omit<ExecRequestInput, 'args'> = {},
    options?: CallOptions,
  ): AsyncGenerator<ExecOutput, void, undefined> {
    return this.#sandboxes.execStream(this.id, { ...request, args: [...args] }, options);
  }

  /**
   * Evaluates code in the image's warm interpreter, whose variables stay. A traceback is an answer, not an error.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.eval('x = 42');
   * const { result } = await sandbox.eval('x');
   * console.log(result); // 42
   * ```
   */
  eval(
    code: string,
    request: Omit<EvalRequestInput, 'code'> = {},
    options?: CallOptions,
  ): Promise<EvalResult> {
    return this.#sandboxes.eval(this.id, { ...request, code }, options);
  }

  /**
   * Does the agent in the guest answer?
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * console.log((await sandbox.ping()).pong); // true
   * ```
   */
  ping(options?: CallOptions): Promise<PingResult> {
    return this.#sandboxes.ping(this.id, options);
  }

  /**
   * Sets when and how it ends; what is not given stays as it is.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const { end_at_unix } = await sandbox.setTimeout({ end_at_unix: 4_000_000_000, on_end: 'snapshot' });
   * console.log(end_at_unix); // 4000000000
   * ```
   */
  setTimeout(request: TimeoutRequestInput, options?: CallOptions): Promise<SandboxInfo> {
    return this.#sandboxes.setTimeout(this.id, request, options);
  }

  /**
   * Stops its processors. It keeps its memory, can be branched, and takes no calls into its guest.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.pause();
   * console.log((await sandbox.resume()).state); // running
   * ```
   */
  pause(options?: CallOptions): Promise<SandboxInfo> {
    return this.#sandboxes.pause(this.id, options);
  }

  /**
   * Lets it run again, with its clock set.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * console.log((await sandbox.pause()).state); // paused
   * await sandbox.resume();
   * ```
   */
  resume(options?: CallOptions): Promise<SandboxInfo> {
    return this.#sandboxes.resume(this.id, options);
  }

  /**
   * What it uses of the host now.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const { cpu_time_ms, memory_shared_bytes } = await sandbox.stats();
   * console.log(cpu_time_ms, memory_shared_bytes); // 120 8192
   * ```
   */
  stats(options?: CallOptions): Promise<SandboxStats> {
    return this.#sandboxes.stats(this.id, options);
  }

  /**
   * What happens to it, until it has ended.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const events = sandbox.events({ from: 'oldest' });
   * await sandbox.kill();
   * for await (const { event } of events) if (event === 'ended') console.log('it is gone'); // it is gone
   * ```
   */
  events(
    range?: EventRange,
    options?: StreamOptions,
  ): AsyncGenerator<SandboxEvent | EventGap, void, undefined> {
    return this.#sandboxes.events(this.id, range, options);
  }

  /**
   * Captures it while it runs: memory, devices and disk of one instant. It runs on, on failure too. Rejects with codes `tag_exists`,
   * `branch_in_progress`, `mode_unsupported`, `no_space`.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const { tag, pause_ms } = await sandbox.branch({ tag: 'point' });
   * const child = await bough.spawn(tag);
   * console.log(pause_ms, (await child.info()).snapshot_tag); // 1.25 point
   * ```
   */
  branch(request: BranchRequestInput = {}, options?: CallOptions): Promise<Snapshot> {
    return this.#sandboxes.branch(this.id, request, options);
  }

  /**
   * Branches it and starts `count` children, 1 to 100. A child that does not start does not fail the call: see `failures`.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const { children, failures } = await sandbox.fork({ count: 3 });
   * const answers = await Promise.all(children.map((child) => child.eval('6 * 7')));
   * console.log(answers.map(({ result }) => result), failures.length); // [ '42', '42', '42' ] 0
   * ```
   */
  async fork(request: ForkRequestInput = {}, options?: CallOptions): Promise<Fork> {
    const { snapshot, pause_ms, children } = await this.#sandboxes.fork(this.id, request, options);
    return {
      snapshot,
      pauseMs: pause_ms,
      children: children.flatMap((child) =>
        'sandbox' in child ? [new Sandbox(this.#sandboxes, child.sandbox.id)] : [],
      ),
      failures: children.flatMap((child) => ('error' in child ? [child] : [])),
    };
  }

  /**
   * Ends it; its process is gone when this resolves. One that has ended already is fine.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.kill();
   * await sandbox.kill();
   * ```
   */
  async kill(options?: CallOptions): Promise<void> {
    await this.#sandboxes.delete(this.id, options).catch((error: unknown) => {
      if (!(error instanceof BoughApiError && error.code === 'sandbox_not_found')) throw error;
    });
  }

  /** What `await using` calls: the same as `kill()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/**
 * What a fork made. Nothing of it ends by itself: neither the children nor the snapshot.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * const fork: Fork = await sandbox.fork({ tag: 'between' });
 * console.log(fork.snapshot.tag, fork.pauseMs); // between 1.25
 * ```
 */
export interface Fork {
  /** The instant they all start from. */
  readonly snapshot: Snapshot;
  /** How long the source stood still, in milliseconds. */
  readonly pauseMs: number;
  /** Those that run. */
  readonly children: readonly Sandbox[];
  /** Why each of the others does not. */
  readonly failures: readonly Extract<ForkResult['children'][number], { error: string }>[];
}
