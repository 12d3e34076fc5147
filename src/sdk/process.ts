/** A kept process as an object: a sandbox, a pid, and a way to the daemon. Letting go of it ends nothing. */

import type { RouteBodyInput } from '../contract/index.js';
import type { Process as ProcessInfo, TerminalSize } from '../contract/v1/processes.js';
import { FRAMES_TYPE } from '../contract/v1/stream-types.js';
import { Attachment, listenerFor } from './attachment.js';
import { framesOf } from './frames.js';
import { Inbox } from './inbox.js';
import { OutputReader, type ProcessOutput } from './output.js';
import { reconnected, type StreamOptions } from './reconnect.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * Which of its output is wanted.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * const process = await sandbox.processes.start(['echo', 'one two']);
 * const range: OutputRange = { stdoutFrom: 4, follow: false };
 * for await (const piece of process.output(range)) if (piece.type === 'stdout') console.log(piece.text.trim()); // two
 * ```
 */
export interface OutputRange {
  /** Offset of the first byte of its standard output, or of its terminal's. Default 0: all that is kept. */
  readonly stdoutFrom?: number | undefined;
  /** Likewise of its standard error. */
  readonly stderrFrom?: number | undefined;
  /** Whether to wait for what it prints until it has ended. Default true. */
  readonly follow?: boolean | undefined;
}

const encoder = new TextEncoder();

/**
 * One process that outlives the connection that started it: `sandbox.processes.start()` starts it, `sandbox.processes.of(pid)` finds it
 * again.
 *
 * Calls reject with `BoughApiError` of code `process_not_found` when it was forgotten, and with those of its sandbox.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * const server = await sandbox.processes.start(['echo', 'ready'], { tag: 'server' });
 * console.log((await server.wait()).exit_code); // 0
 * ```
 */
export class Process {
  /** Its process id in the guest. */
  readonly pid: number;
  readonly #transport: Transport;
  readonly #params: { readonly id: string; readonly pid: number };

  constructor(transport: Transport, sandboxId: string, pid: number) {
    this.#transport = transport;
    this.#params = { id: sandboxId, pid };
    this.pid = pid;
  }

  /**
   * Whether it runs or how it ended, and which of its output is kept.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const process = await sandbox.processes.start(['true'], { tag: 'nothing' });
   * const { tag, running } = await process.info();
   * console.log(tag, running); // nothing false
   * ```
   */
  info(options?: CallOptions): Promise<ProcessInfo> {
    return this.#transport.call('getProcess', { ...options, params: this.#params });
  }

  /**
   * What it printed and prints, with every byte once: a connection that is lost is made again from where it was. Bytes that are no longer
   * kept are told by a `gap`. Who reads slowly makes the program wait.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const process = await sandbox.processes.start(['echo', 'hello']);
   * for await (const piece of process.output()) {
   *   if (piece.type === 'stdout') console.log(piece.text.trim()); // hello
   *   if (piece.type === 'end') console.log(piece.process.exit_code); // 0
   * }
   * ```
   */
  output(
    range: OutputRange = {},
    options: StreamOptions = {},
  ): AsyncGenerator<ProcessOutput, void, undefined> {
    const { stdoutFrom = 0, stderrFrom = 0, follow = true } = range;
    const at = { stdout: stdoutFrom, stderr: stderrFrom };
    const reader = new OutputReader();
    const open = (): Promise<AsyncIterable<ProcessOutput>> => this.#pieces(reader, { at, follow }, options);
    return reconnected({ open, isLast: ({ type }) => type === 'end', url: this.#transport.url }, options);
  }

  /**
   * Waits for its end.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const process = await sandbox.processes.start(['true']);
   * const { exit_code, timed_out } = await process.wait();
   * console.log(exit_code, timed_out); // 0 false
   * ```
   */
  async wait(options: StreamOptions = {}): Promise<ProcessInfo> {
    const { stdout_to: stdoutFrom, stderr_to: stderrFrom } = await this.info(options);
    for await (const piece of this.output({ stdoutFrom, stderrFrom }, options))
      if (piece.type === 'end') return piece.process;
    return this.info(options);
  }

  /**
   * Writes to its standard input, as fast as it reads; with `eof` that ends after it. Resolves with how many bytes it has had in all.
   * Rejects with code `stdin_closed`.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const cat = await sandbox.processes.start(['cat'], { stdin: true });
   * console.log(await cat.write('hello', { eof: true })); // 5
   * ```
   */
  async write(
    data: string | Uint8Array,
    { eof, ...options }: CallOptions & { readonly eof?: boolean | undefined } = {},
  ): Promise<number> {
    const bytes = typeof data === 'string' ? encoder.encode(data) : data;
    const parts = { ...options, params: this.#params, query: { eof } };
    const headers = await this.#transport.send('processInput', bytes, parts);
    return Number(headers.get('bough-stdin-bytes'));
  }

  /**
   * Sends it a signal, by name or number. Rejects with code `process_ended`.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const process = await sandbox.processes.start(['cat'], { stdin: true });
   * await process.signal('SIGTERM');
   * console.log((await process.wait()).signal); // SIGTERM
   * ```
   */
  async signal(signal: RouteBodyInput<'signalProcess'>['signal'], options?: CallOptions): Promise<void> {
    await this.#transport.call('signalProcess', { ...options, params: this.#params, body: { signal } });
  }

  /**
   * Ends it and all that it started, with SIGKILL.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const process = await sandbox.processes.start(['cat'], { stdin: true });
   * await process.kill();
   * console.log((await process.wait()).exit_code); // 137
   * ```
   */
  kill(options?: CallOptions): Promise<void> {
    return this.signal('SIGKILL', options);
  }

  /**
   * Tells its terminal a new size. Rejects with code `no_terminal`.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const shell = await sandbox.processes.start(['sh'], { pty: { cols: 80, rows: 24 }, stdin: true });
   * await shell.resize({ cols: 120, rows: 40 });
   * ```
   */
  async resize(size: TerminalSize, options?: CallOptions): Promise<void> {
    await this.#transport.call('resizeProcess', { ...options, params: this.#params, body: size });
  }

  /**
   * Connects to it both ways, over a WebSocket; `signal` of the options ends that. Rejects with TypeError where the runtime has none, see
   * `TransportOptions`. In a browser the token goes as a protocol that it offers.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const cat = await sandbox.processes.start(['cat'], { stdin: true });
   * await using attached = await cat.attach({ stdoutFrom: 0 });
   * attached.write('meow');
   * attached.endInput();
   * for await (const piece of attached) console.log(piece.type); // stdout
   * // end
   * ```
   */
  async attach(
    { stdoutFrom, stderrFrom }: Omit<OutputRange, 'follow'> = {},
    options: CallOptions = {},
  ): Promise<Attachment> {
    // A WebSocket does not tell why it cannot be opened; this does.
    await this.info(options);
    const inbox = new Inbox<ProcessOutput>();
    const listener = listenerFor(inbox, { url: this.#transport.url, signal: options.signal });
    const query = { stdout_from: stdoutFrom, stderr_from: stderrFrom };
    const parts = { ...options, params: this.#params, query };
    return new Attachment(await this.#transport.socket('attachProcess', listener, parts), inbox);
  }

  /** One connection's pieces, `at` moved along. */
  async #pieces(
    reader: OutputReader,
    { at, follow }: { readonly at: { stdout: number; stderr: number }; readonly follow: boolean },
    options: CallOptions,
  ): Promise<AsyncIterable<ProcessOutput>> {
    const query = { stdout_from: at.stdout, stderr_from: at.stderr, follow };
    const parts = { ...options, params: this.#params, query };
    const frames = framesOf(await this.#transport.stream('processOutput', FRAMES_TYPE, parts));
    return (async function* () {
      for await (const frame of frames) {
        const piece = reader.ofProcess(frame);
        if (piece === undefined) continue;
        if (piece.type === 'gap') at[piece.stream] += piece.bytes;
        else if ('bytes' in piece) at[piece.type === 'stderr' ? 'stderr' : 'stdout'] += piece.bytes.length;
        yield piece;
      }
    })();
  }
}
