/**
 * A QMP connection to one QEMU.
 *
 *   connecting ──greeting, qmp_capabilities──▶ ready ──close(), peer gone, protocol error──▶ closed
 *
 * A client that exists is ready: `connect` does the handshake. Calls wait in a table by id and are answered
 * in any order. When the connection ends, for whatever reason, every pending call and every waiting event
 * fails with QmpDisconnected; nothing is retried. The peer is not trusted to be sane: lines are bounded, and
 * anything that is not QMP closes the connection. A reply to a call that timed out is dropped; a reply to an
 * id never used is a protocol error.
 *
 * Not handled: out-of-band execution, passing file descriptors.
 */
import { EventEmitter } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { anyOf, BoundedLines, Deferred, messageOf, MiB, orAborted, withDeadline } from '../base/index.js';
import type { QmpCommands } from './commands.js';
import { QmpCommandError, QmpDisconnected, QmpProtocolError, QmpTimeout } from './errors.js';

import { parseMessage, type QmpEvent, type QmpMessage } from './messages.js';

const MAX_LINE_BYTES = MiB;
const DEFAULT_TIMEOUT_MS = 5_000;
/** The kernel closes the sockets of a process that ends; what waits there is read at once. */
const DRAIN_DEADLINE_MS = 500;

/** `timeoutMs` defaults to 5,000; the signal cancels the wait, not the command. */
export interface QmpWaitOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
}

interface PendingCall {
  readonly command: string;
  readonly settled: Deferred<unknown>;
}

type Arguments<C extends keyof QmpCommands> = QmpCommands[C]['arguments'] extends undefined
  ? [args?: undefined, options?: QmpWaitOptions]
  : [args: QmpCommands[C]['arguments'], options?: QmpWaitOptions];

interface ClientEvents {
  event: [QmpEvent];
  close: [QmpDisconnected];
}

/** Emits `event` with each QmpEvent and `close` once, with the reason. */
export class QmpClient extends EventEmitter<ClientEvents> {
  readonly #socket: Socket;
  readonly #lines = new BoundedLines(MAX_LINE_BYTES);
  readonly #pending = new Map<number, PendingCall>();
  readonly #greeting = new Deferred<undefined>();
  readonly #socketClosed = new Deferred<undefined>();
  #lastId = 0;
  #qemuVersion = '';
  #state: 'connecting' | 'ready' | 'closed' = 'connecting';
  #closedBy: QmpDisconnected | undefined;

  private constructor(socket: Socket) {
    super();
    this.setMaxListeners(0);
    this.#socket = socket;
    this.#greeting.promise.catch(() => undefined);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (cause) => this.#end(`Connection failed: ${cause.message}`, cause));
    socket.on('end', () => this.#end('QEMU closed the QMP connection'));
    socket.on('close', () => {
      this.#end('QMP connection is gone');
      this.#socketClosed.resolve(undefined);
    });
  }

  /**
   * Connects to the Unix socket and does the handshake, both within `timeoutMs`. Rejects with QmpDisconnected
   * (`cause` is the socket's error: ENOENT, ECONNREFUSED), QmpTimeout, or the signal's reason; no connection
   * remains then.
   */
  static async connect(socketPath: string, options: QmpWaitOptions = {}): Promise<QmpClient> {
    const client = new QmpClient(createConnection(socketPath));
    try {
      await bounded(client.#greeting.promise, 'greeting', options);
      await client.#call('qmp_capabilities', undefined, options);
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  /** As the greeting tells it, such as `7.2.22`. */
  get qemuVersion(): string {
    return this.#qemuVersion;
  }

  /** Whether the connection has ended. */
  get closed(): boolean {
    return this.#state === 'closed';
  }

  /**
   * Sends a command and resolves with its `return`; rejects with QmpCommandError, QmpTimeout or
   * QmpDisconnected.
   */
  execute<C extends keyof QmpCommands>(command: C, ...rest: Arguments<C>): Promise<QmpCommands[C]['return']>;
  execute(command: string, args?: object, options?: QmpWaitOptions): Promise<unknown>;
  execute(command: string, args?: object, options: QmpWaitOptions = {}): Promise<unknown> {
    return this.#call(command, args, options);
  }

  /**
   * Resolves with the next event of that name which satisfies `predicate`. Only events from now on count:
   * call it before the command that causes the event. Rejects with QmpTimeout, QmpDisconnected or the
   * signal's reason.
   */
  async waitEvent(
    name: string,
    predicate: (event: QmpEvent) => boolean = () => true,
    options: QmpWaitOptions = {},
  ): Promise<QmpEvent> {
    if (this.#closedBy !== undefined) throw this.#closedBy;
    const found = new Deferred<QmpEvent>();
    const onEvent = (event: QmpEvent): void => {
      if (event.event === name && predicate(event)) found.resolve(event);
    };
    this.on('event', onEvent);
    this.once('close', found.reject);
    try {
      return await bounded(found.promise, `event ${name}`, options);
    } finally {
      this.off('event', onEvent);
      this.off('close', found.reject);
    }
  }

  /** Ends the connection and fails what is pending; QEMU runs on. Idempotent. */
  async close(): Promise<void> {
    this.#end('QMP client was closed');
    await this.#socketClosed.promise;
  }

  /** For a QEMU that has ended: takes in what it still said, and closes. Idempotent. */
  async drain(): Promise<void> {
    await withDeadline(this.#socketClosed.promise, DRAIN_DEADLINE_MS, 'The end of QMP').catch(
      () => undefined,
    );
    await this.close();
  }

  async #call(command: string, args: object | undefined, options: QmpWaitOptions): Promise<unknown> {
    if (this.#closedBy !== undefined) throw this.#closedBy;
    const id = ++this.#lastId;
    const settled = new Deferred<unknown>();
    this.#pending.set(id, { command, settled });
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    try {
      return await bounded(settled.promise, command, options);
    } finally {
      this.#pending.delete(id);
    }
  }

  #receive(chunk: Buffer): void {
    if (this.#state === 'closed') return;
    try {
      for (const line of this.#lines.push(chunk)) this.#dispatch(parseMessage(line));
    } catch (cause) {
      this.#end(`QMP protocol error: ${messageOf(cause)}`, cause);
    }
  }

  #dispatch(message: QmpMessage): void {
    if (message.kind === 'greeting') {
      if (this.#state !== 'connecting') throw new QmpProtocolError('Second greeting');
      this.#state = 'ready';
      this.#qemuVersion = message.qemuVersion;
      this.#greeting.resolve(undefined);
      return;
    }
    if (this.#state === 'connecting')
      throw new QmpProtocolError(`Expected a greeting, found ${message.kind}`);
    if (message.kind === 'event') {
      this.emit('event', message.event);
      return;
    }
    if (message.id < 1 || message.id > this.#lastId) {
      throw new QmpProtocolError(`Reply to a command never sent: id ${message.id}`);
    }
    const call = this.#pending.get(message.id);
    if (message.kind === 'return') call?.settled.resolve(message.value);
    else call?.settled.reject(new QmpCommandError(call.command, message.class, message.desc));
  }

  #end(reason: string, cause?: unknown): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    const error = new QmpDisconnected(reason, cause === undefined ? undefined : { cause });
    this.#closedBy = error;
    this.#socket.destroy();
    this.#greeting.reject(error);
    for (const call of this.#pending.values()) call.settled.reject(error);
    this.#pending.clear();
    this.emit('close', error);
  }
}

/**
 * `promise`, or QmpTimeout, or the signal's reason, whichever comes first; leaves no timer and no listener.
 */
async function bounded<T>(
  promise: Promise<T>,
  awaited: string,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: QmpWaitOptions,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new QmpTimeout(awaited, timeoutMs)), timeoutMs);
  try {
    return await orAborted(promise, anyOf(late.signal, signal));
  } finally {
    clearTimeout(timer);
  }
}
