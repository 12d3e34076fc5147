/**
 * A daemon that tests kill, at a place in its code or at any moment, and start again over the same folders. The next one is loaded while it runs.
 */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { sleep, withDeadline } from '../../src/base/index.js';
import { Bough } from '../../src/sdk/index.js';
import type { OwnFolders } from '../support/template-copy.js';
import type { DaemonUsage, Order } from './controlled-daemon.js';
import { answered, order } from './orders.js';

const DAEMON = fileURLToPath(new URL('controlled-daemon.js', import.meta.url));
export const DEADLINE_MS = 60_000;
export const POLL_MS = 50;

export class LabDaemon {
  readonly folders: OwnFolders;
  /** How many VMMs stand ready of a machine, once a child was started. */
  readonly warmVmms: number;
  #daemon!: ChildProcess;
  /** The next daemon, loaded. */
  #standby: ChildProcess | undefined;
  #client!: Bough;
  #exited!: Promise<NodeJS.Signals | null>;
  #log = '';

  constructor(folders: OwnFolders, warmVmms: number) {
    this.folders = folders;
    this.warmVmms = warmVmms;
  }

  get client(): Bough {
    return this.#client;
  }

  /** The end of what the daemons have logged. */
  get log(): string {
    return this.#log;
  }

  /** Starts the next daemon, and waits until it listens; false if it ended instead. */
  async start(failpoints = ''): Promise<boolean> {
    const child = this.#standby ?? this.#load();
    this.#daemon = child;
    this.#exited = once(child, 'exit').then(() => child.signalCode);
    const { stateDir, hotDir, cacheDir } = this.folders;
    const { warmVmms } = this;
    const flags = {
      listen: '127.0.0.1:0',
      stateDir,
      hotDir,
      cacheDir,
      logLevel: 'warn',
      warmVmms: `${warmVmms}`,
    };
    const listens = order(this.#daemon, { run: { flags, failpoints } }, ({ address }) => address);
    const orEnded = listens.catch(() => undefined);
    const address = await withDeadline(orEnded, DEADLINE_MS, 'The start of the daemon');
    this.#standby = this.#load();
    if (address === undefined) return false;
    this.#client = new Bough({ url: address });
    return true;
  }

  /** Loading takes most of the time of a start: it passes while the daemon before is at work. */
  #load(): ChildProcess {
    const child = fork(DAEMON, [], {
      execArgv: ['--expose-gc'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    child.stderr
      ?.setEncoding('utf8')
      .on('data', (text: string) => (this.#log = (this.#log + text).slice(-8000)));
    return child;
  }

  /** Waits until the daemon has ended; the signal that ended it. */
  died(): Promise<NodeJS.Signals | null> {
    return withDeadline(this.#exited, DEADLINE_MS, 'The end of the daemon');
  }

  async kill(): Promise<void> {
    this.#daemon.kill('SIGKILL');
    await this.died();
  }

  /** Arms failpoints of the running daemon, instead of those armed before. */
  async arm(failpoints: string): Promise<void> {
    await order(this.#daemon, { arm: failpoints }, ({ fired }) => fired);
  }

  /** Waits until the daemon has come to an armed place, which it may do after its answer. */
  async reached(place: string): Promise<void> {
    for (let waitedMs = 0; waitedMs < DEADLINE_MS; waitedMs += POLL_MS) {
      const fired = await order(this.#daemon, { list: true }, (answer) => answer.fired);
      if (fired.includes(place)) return;
      await sleep(POLL_MS);
    }
    assert.fail(`${place} was not reached`);
  }

  /**
   * Has the daemon wait at a place until `meanwhile` is over; `over` resolves then, and rejects if the place is not
   * reached in time.
   */
  async meet(
    place: string,
    count: number,
    meanwhile: () => Promise<void>,
  ): Promise<{ readonly over: Promise<void> }> {
    const reached = withDeadline(
      answered(this.#daemon, ({ met: where }) => where),
      DEADLINE_MS,
      `Reaching ${place}`,
    );
    const over = reached.then(async () => {
      await meanwhile();
      this.#daemon.send({ go: true } satisfies Order);
    });
    over.catch(() => undefined);
    this.#daemon.send({ meet: place, count } satisfies Order);
    await answered(this.#daemon, ({ fired }) => fired);
    return { over };
  }

  measure(): Promise<DaemonUsage> {
    return order(this.#daemon, { measure: true }, ({ usage }) => usage);
  }

  /** Of those that stand ready, as the daemon counts them. */
  async idleCount(): Promise<number> {
    return Number(/^bough_warm_vmms (\d+)$/m.exec(await this.client.metrics())?.[1]);
  }

  async ensureRunning(): Promise<void> {
    if (this.#daemon.exitCode !== null || this.#daemon.signalCode !== null)
      assert(await this.start(), this.#log);
  }

  async stop(): Promise<void> {
    this.#standby?.kill('SIGKILL');
    this.#daemon.kill('SIGTERM');
    await this.died().catch(() => this.kill());
  }
}
