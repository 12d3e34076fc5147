/** A terminal at a distance: both ways at once, over a WebSocket. */

import type { TerminalSize } from '../contract/v1/processes.js';
import { BoughUnreachable, failureTold } from './errors.js';
import { encodeFrame, FrameDecoder, frameKinds } from './frames.js';
import { Inbox } from './inbox.js';
import { OutputReader, type ProcessOutput } from './output.js';
import type { SocketListener, WebSocketLike } from './socket.js';

const MAX_STDIN_BYTES = 64 << 10;
const NORMAL = 1000;
const FAILED = 1011;

const encoder = new TextEncoder();

/**
 * A connection to a process, most of all to one with a terminal: what it prints comes as it comes, and what is typed goes there. It ends
 * with the process, or leaves it running when it is closed.
 *
 * What is not read piles up here; for output without end take `output()`, which makes the program wait.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * const shell = await sandbox.processes.start(['sh'], { pty: { cols: 80, rows: 24 }, stdin: true });
 * await using terminal = await shell.attach();
 * terminal.write('exit\n');
 * terminal.endInput();
 * for await (const piece of terminal) if (piece.type === 'pty') console.log(piece.text.trim()); // exit
 * ```
 */
export class Attachment implements AsyncIterable<ProcessOutput>, AsyncDisposable {
  readonly #socket: WebSocketLike;
  readonly #inbox: Inbox<ProcessOutput>;

  constructor(socket: WebSocketLike, inbox: Inbox<ProcessOutput>) {
    this.#socket = socket;
    this.#inbox = inbox;
  }

  /** What it prints, `end` last. */
  [Symbol.asyncIterator](): AsyncGenerator<ProcessOutput, void, undefined> {
    return this.#inbox.taken();
  }

  /**
   * Types: text or bytes for its standard input.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const cat = await sandbox.processes.start(['cat'], { stdin: true });
   * const attached = await cat.attach();
   * attached.write('typed');
   * attached.endInput();
   * for await (const { type } of attached) if (type === 'end') console.log('it has ended'); // it has ended
   * ```
   */
  write(data: string | Uint8Array): void {
    const bytes = typeof data === 'string' ? encoder.encode(data) : data;
    for (let at = 0; at < bytes.length; at += MAX_STDIN_BYTES)
      this.#socket.send(encodeFrame(frameKinds.stdin, bytes.subarray(at, at + MAX_STDIN_BYTES)));
  }

  /**
   * Ends its standard input.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const cat = await sandbox.processes.start(['cat'], { stdin: true });
   * const attached = await cat.attach();
   * attached.endInput();
   * console.log((await cat.wait()).exit_code); // 0
   * ```
   */
  endInput(): void {
    this.#socket.send(encodeFrame(frameKinds.stdin, new Uint8Array()));
  }

  /**
   * Tells its terminal a new size.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const shell = await sandbox.processes.start(['sh'], { pty: { cols: 80, rows: 24 }, stdin: true });
   * await using terminal = await shell.attach();
   * terminal.resize({ cols: 120, rows: 40 });
   * ```
   */
  resize(size: TerminalSize): void {
    this.#control({ resize: size });
  }

  /**
   * Sends it a signal, by number.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const shell = await sandbox.processes.start(['sh'], { pty: { cols: 80, rows: 24 }, stdin: true });
   * await using terminal = await shell.attach();
   * terminal.signal(2);
   * ```
   */
  signal(number: number): void {
    this.#control({ signal: number });
  }

  /**
   * Ends the connection; the process runs on.
   *
   * @example
   * ```ts
   * const sandbox = await bough.spawn('base');
   * const shell = await sandbox.processes.start(['sh'], { pty: { cols: 80, rows: 24 }, stdin: true });
   * const terminal = await shell.attach();
   * terminal.close();
   * console.log((await shell.info()).running); // true
   * ```
   */
  close(): void {
    this.#inbox.end();
    this.#socket.close();
  }

  /** What `await using` calls: the same as `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  #control(what: object): void {
    this.#socket.send(encodeFrame(frameKinds.control, encoder.encode(JSON.stringify(what))));
  }
}

/** Puts what a WebSocket brings into `inbox`. */
export function listenerFor(
  inbox: Inbox<ProcessOutput>,
  { url, signal }: { readonly url: string; readonly signal?: AbortSignal | undefined },
): SocketListener {
  const [decoder, reader] = [new FrameDecoder(), new OutputReader()];
  return {
    onMessage(bytes) {
      try {
        for (const frame of decoder.push(bytes)) {
          const piece = reader.ofProcess(frame);
          if (piece !== undefined) inbox.push(piece);
        }
      } catch (error) {
        inbox.end({ error });
      }
    },
    onClose(code, reason) {
      if (signal?.aborted === true) inbox.end({ error: signal.reason });
      else if (code === NORMAL) inbox.end();
      else if (code === FAILED) inbox.end({ error: failureTold(reason, `The daemon ended it: ${reason}`) });
      else inbox.end({ error: new BoughUnreachable(url, 'the connection was lost') });
    },
  };
}
