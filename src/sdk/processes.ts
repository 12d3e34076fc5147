/** The kept processes of one sandbox. */

import type { RouteBodyInput } from '../contract/index.js';
import type { Process as ProcessInfo } from '../contract/v1/processes.js';
import { FRAMES_TYPE } from '../contract/v1/stream-types.js';
import { framesOf } from './frames.js';
import { OutputReader, type ProcessOutput } from './output.js';
import { Process } from './process.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * How a process starts, apart from its program.
 *
 * @example
 * ```ts
 * const request: StartRequest = { env: { PORT: '8080' }, cwd: '/', tag: 'server', timeout_secs: 3600 };
 * const sandbox = await bough.spawn('base');
 * console.log((await (await sandbox.processes.start(['echo'], request)).info()).tag); // server
 * ```
 */
export type StartRequest = Omit<RouteBodyInput<'startProcess'>, 'args' | 'shell' | 'on_disconnect'>;

/**
 * `sandbox.processes`: programs that outlive the connection that started them.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * await sandbox.processes.start('npm run dev', { cwd: '/srv', tag: 'dev' });
 * console.log((await sandbox.processes.list()).map(({ tag }) => tag)); // [ 'dev' ]
 * ```
 */
export class Processes {
  readonly #transport: Transport;
  readonly #params: { readonly id: string };

  constructor(transport: Transport, sandboxId: string) {
    this.#transport = transport;
    this.#params = { id: sandboxId };
  }

  /**
   * Starts a program: a list of its name and arguments, or a line for `sh -c`. Rejects with code `process_not_started`.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const server = await sandbox.processes.start(['echo', 'ready']);
   * for await (const piece of server.output()) if (piece.type === 'stdout') console.log(piece.text.trim()); // ready
   * ```
   */
  async start(
    program: string | readonly string[],
    request: StartRequest = {},
    options?: CallOptions,
  ): Promise<Process> {
    const body = { ...request, ...programOf(program) };
    const { pid } = await this.#transport.call('startProcess', { ...options, params: this.#params, body });
    return this.of(pid);
  }

  /**
   * Starts a program with the stream of its output: `started` comes first. With `on_disconnect: 'kill'` it ends with the stream, so when
   * the loop over it is left. Nothing is started before the first piece is asked for, and a lost connection is not made again.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const pieces = sandbox.processes.startAttached(['echo', 'hello'], { on_disconnect: 'kill' });
   * for await (const piece of pieces) console.log(piece.type); // started
   * // stdout
   * // end
   * ```
   */
  async *startAttached(
    program: string | readonly string[],
    request: StartRequest & Pick<RouteBodyInput<'startProcess'>, 'on_disconnect'> = {},
    options?: CallOptions,
  ): AsyncGenerator<ProcessOutput, void, undefined> {
    const body = { ...request, ...programOf(program) };
    const parts = { ...options, params: this.#params, body };
    const reader = new OutputReader();
    for await (const frame of framesOf(await this.#transport.stream('startProcess', FRAMES_TYPE, parts))) {
      const piece = reader.ofProcess(frame);
      if (piece !== undefined) yield piece;
    }
  }

  /**
   * All that run, and those that ended not long ago, the latest first.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * await sandbox.processes.start(['true']);
   * console.log((await sandbox.processes.list()).map(({ args }) => args)); // [ [ 'true' ] ]
   * ```
   */
  list(options?: CallOptions): Promise<ProcessInfo[]> {
    return this.#transport.call('listProcesses', { ...options, params: this.#params });
  }

  /**
   * The process of that id, as an object. Asks nobody whether there is one.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const { pid } = await sandbox.processes.start(['true']);
   * console.log((await sandbox.processes.of(pid).info()).running); // false
   * ```
   */
  of(pid: number): Process {
    return new Process(this.#transport, this.#params.id, pid);
  }
}

function programOf(program: string | readonly string[]): { args: string[] } | { shell: string } {
  return typeof program === 'string' ? { shell: program } : { args: [...program] };
}
