/** Calls about sandboxes, by their ids. */

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
  RemovedSandboxes,
  Sandbox as SandboxInfo,
  SandboxEvent,
  SandboxStats,
  Snapshot,
  SpawnRequestInput,
  TimeoutRequestInput,
} from '../contract/index.js';
import { FRAMES_TYPE } from '../contract/v1/stream-types.js';
import { eventsOf, type EventRange } from './events.js';
import { framesOf } from './frames.js';
import { SandboxFiles } from './files.js';
import { SandboxNetwork } from './network.js';
import { OutputReader, type ExecOutput } from './output.js';
import { eachOf, MAX_PAGE, type PageOptions } from './pages.js';
import { SandboxPorts } from './ports.js';
import { Processes } from './processes.js';
import type { StreamOptions } from './reconnect.js';
import { SandboxTimeline } from './timeline.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * Which sandboxes are wanted.
 *
 * @example
 * ```ts
 * await bough.spawn('base', { metadata: { job: 'tests', owner: 'ann' } });
 * const options: ListOptions = { selector: 'job=tests,owner!=bob,!done' };
 * console.log((await bough.sandboxes.list(options)).length); // 1
 * ```
 */
export interface ListOptions extends PageOptions {
  /** Requirements over their metadata, all of which hold: `key=value`, `key!=value`, `key`, `!key`, separated by commas. */
  readonly selector?: string | undefined;
}

/**
 * `bough.sandboxes`: what runs, by ids. `bough.spawn()` gives objects instead.
 *
 * @example
 * ```ts
 * const started = await bough.sandboxes.spawn({ snapshot_tag: 'base', n: 2, metadata: { job: 'tests' } });
 * for (const { id } of started) await bough.sandboxes.delete(id);
 * ```
 */
export class Sandboxes {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Starts `n` (default 1) sandboxes: all or none.
   *
   * @example
   * ```ts
   * const started = await bough.sandboxes.spawn({ snapshot_tag: 'base', n: 2 });
   * console.log(started.length); // 2
   * ```
   */
  spawn(request: SpawnRequestInput, options?: CallOptions): Promise<SandboxInfo[]> {
    return this.#transport.call('spawn', { ...options, body: request });
  }

  /**
   * Every sandbox, or those that a selector over their metadata chooses, or a page of them.
   *
   * @example
   * ```ts
   * await bough.sandboxes.spawn({ snapshot_tag: 'base' });
   * console.log((await bough.sandboxes.list()).map(({ state }) => state)); // [ 'running' ]
   * ```
   */
  list({ selector, limit, after, ...options }: ListOptions = {}): Promise<SandboxInfo[]> {
    return this.#transport.call('listSandboxes', { ...options, query: { selector, limit, after } });
  }

  /**
   * Every sandbox, or those that a selector chooses, oldest first, fetched page by page.
   *
   * @example
   * ```ts
   * await bough.sandboxes.spawn({ snapshot_tag: 'base', n: 3, metadata: { job: 'tests' } });
   * let count = 0;
   * for await (const { metadata } of bough.sandboxes.each({ selector: 'job=tests', limit: 2 })) count += metadata ? 1 : 0;
   * console.log(count); // 3
   * ```
   */
  each({ selector, limit, after, ...options }: ListOptions = {}): AsyncGenerator<
    SandboxInfo,
    void,
    undefined
  > {
    return eachOf(after, (from) => {
      const query = { selector, limit: limit ?? MAX_PAGE, after: from };
      return this.#transport.page('listSandboxes', { ...options, query });
    });
  }

  /**
   * One sandbox. As everywhere, a name is as good as an id.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandboxes.get(id)).branch_count); // 0
   * ```
   */
  get(id: string, options?: CallOptions): Promise<SandboxInfo> {
    return this.#transport.call('getSandbox', { ...options, params: { id } });
  }

  /**
   * Ends a sandbox; its process is gone when this resolves.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * await bough.sandboxes.delete(id);
   * console.log((await bough.sandboxes.list()).length); // 0
   * ```
   */
  async delete(id: string, options?: CallOptions): Promise<void> {
    await this.#transport.call('removeSandbox', { ...options, params: { id } });
  }

  /**
   * Ends all that a selector chooses, each as one that is ended by itself; resolves with what became of them.
   *
   * @example
   * ```ts
   * await bough.sandboxes.spawn({ snapshot_tag: 'base', n: 2, metadata: { job: 'tests' } });
   * const { removed, failed } = await bough.sandboxes.deleteSelected('job=tests');
   * console.log(removed.length, failed); // 2 []
   * ```
   */
  deleteSelected(selector: string, options?: CallOptions): Promise<RemovedSandboxes> {
    return this.#transport.call('removeSandboxes', { ...options, query: { selector } });
  }

  /**
   * Stops its processors; it keeps its memory and can be branched.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandboxes.pause(id)).state); // paused
   * ```
   */
  pause(id: string, options?: CallOptions): Promise<SandboxInfo> {
    return this.#transport.call('pauseSandbox', { ...options, params: { id } });
  }

  /**
   * Lets it run again.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * await bough.sandboxes.pause(id);
   * console.log((await bough.sandboxes.resume(id)).state); // running
   * ```
   */
  resume(id: string, options?: CallOptions): Promise<SandboxInfo> {
    return this.#transport.call('resumeSandbox', { ...options, params: { id } });
  }

  /**
   * What it uses of the host now: processor time, memory and disk of its own and shared.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandboxes.stats(id)).memory_unique_bytes); // 4096
   * ```
   */
  stats(id: string, options?: CallOptions): Promise<SandboxStats> {
    return this.#transport.call('sandboxStats', { ...options, params: { id } });
  }

  /**
   * What happens to one sandbox, until it has ended; also of one that is gone, as long as its events are kept. A lost connection is made
   * again from the last event on.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * await bough.sandboxes.delete(id);
   * for await (const { event } of bough.sandboxes.events(id, { from: 'oldest' })) console.log(event); // created
   * // running
   * // ended
   * ```
   */
  events(
    id: string,
    range: EventRange = {},
    options: StreamOptions = {},
  ): AsyncGenerator<SandboxEvent | EventGap, void, undefined> {
    return eventsOf(this.#transport, id, range, options);
  }

  /**
   * Its kept processes.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log(await bough.sandboxes.processes(id).list()); // []
   * ```
   */
  processes(id: string): Processes {
    return new Processes(this.#transport, id);
  }

  /**
   * Its files.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * await bough.sandboxes.files(id).write('/note', 'hello');
   * console.log(await bough.sandboxes.files(id).readText('/note')); // hello
   * ```
   */
  files(id: string): SandboxFiles {
    return new SandboxFiles(this.#transport, id);
  }

  /**
   * Its ports.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandboxes.ports(id).fetch(1)).status); // 502
   * ```
   */
  ports(id: string): SandboxPorts {
    return new SandboxPorts(this.#transport, id);
  }

  /**
   * Its network.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandboxes.network(id).get()).policy.mode); // none
   * ```
   */
  network(id: string): SandboxNetwork {
    return new SandboxNetwork(this.#transport, id);
  }

  /**
   * Its timeline.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandboxes.timeline(id).checkpoint()).checkpoint); // true
   * ```
   */
  timeline(id: string): SandboxTimeline {
    return new SandboxTimeline(this.#transport, id);
  }

  /**
   * Runs a program in the guest. A status other than 0 is an answer, not an error.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * const { exit_code } = await bough.sandboxes.exec(id, { args: ['false'] });
   * console.log(exit_code); // 1
   * ```
   */
  exec(id: string, request: ExecRequestInput, options?: CallOptions): Promise<ExecResult> {
    return this.#transport.call('exec', { ...options, params: { id }, body: request });
  }

  /**
   * Runs a program in the guest and gives what it prints as it comes, all of it. Who stops reading ends the program. Nothing is run before
   * the first piece is asked for.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * for await (const piece of bough.sandboxes.execStream(id, { args: ['echo', 'hello'] })) {
   *   if (piece.type === 'stdout') console.log(piece.text.trim()); // hello
   *   if (piece.type === 'end') console.log(piece.exit_code); // 0
   * }
   * ```
   */
  async *execStream(
    id: string,
    request: ExecRequestInput,
    options?: CallOptions,
  ): AsyncGenerator<ExecOutput, void, undefined> {
    const parts = { ...options, params: { id }, body: request };
    const reader = new OutputReader();
    for await (const frame of framesOf(await this.#transport.stream('exec', FRAMES_TYPE, parts))) {
      const piece = reader.ofExec(frame);
      if (piece !== undefined) yield piece;
    }
  }

  /**
   * Evaluates an expression in the image's warm interpreter.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandboxes.eval(id, { code: '6 * 7' })).result); // 42
   * ```
   */
  eval(id: string, request: EvalRequestInput, options?: CallOptions): Promise<EvalResult> {
    return this.#transport.call('evaluate', { ...options, params: { id }, body: request });
  }

  /**
   * Does the agent in the guest answer?
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * console.log((await bough.sandboxes.ping(id)).pong); // true
   * ```
   */
  ping(id: string, options?: CallOptions): Promise<PingResult> {
    return this.#transport.call('ping', { ...options, params: { id } });
  }

  /**
   * Sets when and how the sandbox ends; what is not given stays as it is.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * await bough.sandboxes.setTimeout(id, { idle_timeout_secs: 600, on_end: 'snapshot' });
   * ```
   */
  setTimeout(id: string, request: TimeoutRequestInput, options?: CallOptions): Promise<SandboxInfo> {
    return this.#transport.call('setTimeout', { ...options, params: { id }, body: request });
  }

  /**
   * Captures the sandbox, which keeps running, on failure too.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * const { status } = await bough.sandboxes.branch(id, { wait: false });
   * console.log(status); // writing
   * ```
   */
  branch(id: string, request: BranchRequestInput = {}, options?: CallOptions): Promise<Snapshot> {
    return this.#transport.call('branch', { ...options, params: { id }, body: request });
  }

  /**
   * Branches the sandbox and starts `count` children; each child is a sandbox or an error.
   *
   * @example
   * ```ts
   * const { id } = await bough.spawn('base');
   * const { children } = await bough.sandboxes.fork(id, { count: 2 });
   * console.log(children.map((child) => ('sandbox' in child ? 'runs' : child.error))); // [ 'runs', 'runs' ]
   * ```
   */
  fork(id: string, request: ForkRequestInput = {}, options?: CallOptions): Promise<ForkResult> {
    return this.#transport.call('fork', { ...options, params: { id }, body: request });
  }
}
