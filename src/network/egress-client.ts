/**
 * The daemon's end of the egress: the process is found where an earlier daemon left it, or started.
 *
 *   ask ─▶ connected? ─no─▶ connect ─nobody there─▶ start the process, connect ─▶ a line out, a line back, in order
 *
 * A process that was killed takes connections until the kernel has closed its last socket, and answers none: whoever
 * ends a connection before the first answer counts as nobody.
 *
 * The process is one of its own, in a session of its own and without anything of the daemon's environment: it outlives
 * the daemon as sandboxes do. Whoever holds the lock of the state folder is the only one that may start it.
 *
 * Not handled: an egress that an earlier version of bough left; it answers what it knows and refuses the rest.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { BoundedLines, Deferred, messageOf, MiB, monotonicMs, sleep, withDeadline } from '../base/index.js';
import type { NetworkPolicy } from '../contract/index.js';
import type { Presets } from './presets.js';

const MAIN = fileURLToPath(new URL('./egress/main.js', import.meta.url));
const START_DEADLINE_MS = 10_000;
const START_POLL_MS = 10;
const ANSWER_DEADLINE_MS = 10_000;

/** A sandbox as the egress is told of it. */
export interface SandboxAtEgress {
  readonly sandbox: string;
  readonly socketPath: string;
  readonly logPath: string;
  readonly namesPath: string;
  readonly policy: NetworkPolicy;
  readonly presets: Presets;
}

/** Nobody answers there, or not in time. */
export class EgressUnavailable extends Error {
  override readonly name = 'EgressUnavailable';
}

/** It has answered that it cannot. */
export class EgressRefused extends Error {
  override readonly name = 'EgressRefused';
}

export interface EgressClientOptions {
  readonly socketPath: string;
  /** What the process prints: nothing, unless it dies of a defect. */
  readonly outputPath: string;
  /** In place of the host's own, as `dns.setServers` takes them. */
  readonly dnsServers?: readonly string[] | undefined;
  /** Told when a connection that was of use has ended by itself. */
  readonly onLost: (error: Error) => void;
}

export class EgressClient {
  readonly #options: EgressClientOptions;
  #connection: Promise<Connection> | undefined;
  /** The same where it was only looked for: nobody was started. */
  #looked: Promise<Connection> | undefined;
  #isClosed = false;

  constructor(options: EgressClientOptions) {
    this.#options = options;
  }

  /** Throws EgressUnavailable, EgressRefused. */
  async ask(request: object): Promise<unknown> {
    if (this.#looked !== undefined && this.#looked === this.#connection)
      await this.#looked.catch(() => undefined);
    this.#connection ??= this.#open(() => this.#start());
    return (await this.#connection).ask(request);
  }

  /** As `ask`, but of one that runs: undefined if none does. */
  async askIfThere(request: object): Promise<unknown> {
    try {
      this.#connection ??= this.#look();
      return await (await this.#connection).ask(request);
    } catch (error) {
      if (error instanceof EgressUnavailable) return undefined;
      throw error;
    }
  }

  /** Lets go of it. The process stays as long as it serves a sandbox. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const connection = await this.#connection?.catch(() => undefined);
    await connection?.close();
  }

  #look(): Promise<Connection> {
    this.#looked = this.#open(undefined);
    return this.#looked;
  }

  #open(start: (() => Promise<Connection>) | undefined): Promise<Connection> {
    const opened = this.#connect(start);
    opened.catch(() => this.#forget(opened));
    return opened;
  }

  async #connect(start: (() => Promise<Connection>) | undefined): Promise<Connection> {
    if (this.#isClosed) throw new EgressUnavailable('the daemon stops');
    const connection = (await this.#found()) ?? (await start?.());
    if (connection === undefined) throw new EgressUnavailable('none runs');
    connection.onEnded = (error) => {
      this.#connection = undefined;
      if (!this.#isClosed) this.#options.onLost(error);
    };
    return connection;
  }

  /** To a process that runs and answers; undefined if there is none. */
  async #found(): Promise<Connection | undefined> {
    const socket = await connected(this.#options.socketPath).catch(() => undefined);
    if (socket === undefined) return undefined;
    const connection = new Connection(socket);
    try {
      await connection.ask({ get: '' });
      return connection;
    } catch (error) {
      if (connection.hasEnded) return undefined;
      await connection.close();
      throw error;
    }
  }

  #forget(connection: Promise<Connection>): void {
    if (this.#connection === connection) this.#connection = undefined;
  }

  async #start(): Promise<Connection> {
    const { socketPath, outputPath, dnsServers = [] } = this.#options;
    const output = openSync(outputPath, 'a', 0o600);
    const child = spawn(process.execPath, [MAIN, socketPath, ...dnsServers], {
      ...{ cwd: '/', detached: true, env: {} },
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    child.unref();
    const [failed] = (await Promise.race([once(child, 'spawn'), once(child, 'error')])) as unknown[];
    if (failed !== undefined) throw new EgressUnavailable(messageOf(failed));
    const giveUpAtMs = monotonicMs() + START_DEADLINE_MS;
    for (;;) {
      const connection = await this.#found();
      if (connection !== undefined) return connection;
      if (monotonicMs() > giveUpAtMs || child.exitCode !== null)
        throw new EgressUnavailable(`it does not start: see ${outputPath}`);
      await sleep(START_POLL_MS);
    }
  }
}

async function connected(path: string): Promise<Socket> {
  const socket = connect(path);
  await once(socket, 'connect');
  return socket;
}

/** One line out, one line back, in order. */
class Connection {
  readonly #socket: Socket;
  readonly #waiting: Deferred<unknown>[] = [];
  onEnded: (error: EgressUnavailable) => void = () => undefined;

  constructor(socket: Socket) {
    const lines = new BoundedLines(16 * MiB);
    this.#socket = socket;
    // A daemon that is done need not wait for it.
    socket.unref();
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) this.#take(line);
    });
    socket.once('close', () => {
      const error = new EgressUnavailable('it has ended');
      for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
      this.onEnded(error);
    });
  }

  get hasEnded(): boolean {
    return this.#socket.destroyed;
  }

  async ask(request: object): Promise<unknown> {
    const answer = new Deferred<unknown>();
    this.#waiting.push(answer);
    this.#socket.ref();
    this.#socket.write(`${JSON.stringify(request)}\n`);
    try {
      return await withDeadline(answer.promise, ANSWER_DEADLINE_MS, 'The answer of the egress');
    } catch (error) {
      throw error instanceof EgressRefused ? error : new EgressUnavailable(messageOf(error));
    } finally {
      if (this.#waiting.length === 0) this.#socket.unref();
    }
  }

  async close(): Promise<void> {
    if (this.hasEnded) return;
    this.#socket.destroy();
    await once(this.#socket, 'close');
  }

  #take(line: string): void {
    const { ok, error } = JSON.parse(line) as { ok?: unknown; error?: { problem: string } };
    const waiting = this.#waiting.shift();
    if (error === undefined) waiting?.resolve(ok);
    else waiting?.reject(new EgressRefused(error.problem));
  }
}
