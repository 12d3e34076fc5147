/** The fake VMM of the pager's own tests (native/pager/test/served_vmm.c), in a process of its own with the real library in it. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PAGER_ENV_QMP, PAGER_ENV_SOCKET } from '../../src/pager/index.js';

const NATIVE_DIR = fileURLToPath(new URL('../../../native/pager/', import.meta.url));

/** RAM of each. */
export const SERVED_RAM_BYTES = 4 << 20;

/** What QEMU does at a branch: names of served_vmm.c. */
export type Script = 'fine' | 'failsFirst' | 'failsLast' | 'closes';

/** Builds the VMM and the library, once before the tests. */
export async function buildServedVmm(): Promise<void> {
  const targets = ['build/libpager.so', 'build/test/served_vmm'];
  await promisify(execFile)('make', ['--silent', '-C', NATIVE_DIR, ...targets]);
}

/** Ends with this process at the latest: its stdin does. */
export class ServedVmm {
  /** Holds `marker`, which RAM is mapped from, and whatever a test puts there. */
  readonly dir: string;
  readonly socketPath: string;
  readonly #process: ChildProcess;
  readonly #lines: Interface;
  readonly #exited: Promise<unknown>;

  private constructor(dir: string, args: readonly string[]) {
    this.dir = dir;
    this.socketPath = join(dir, 'control');
    this.#process = spawn(join(NATIVE_DIR, 'build/test/served_vmm'), [dir, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        ...process.env,
        LD_PRELOAD: join(NATIVE_DIR, 'build/libpager.so'),
        [PAGER_ENV_SOCKET]: this.socketPath,
        [PAGER_ENV_QMP]: join(dir, 'qmp'),
      },
    });
    this.#exited = once(this.#process, 'exit');
    if (this.#process.stdout === null) throw new TypeError('stdout is a pipe');
    this.#lines = createInterface(this.#process.stdout);
  }

  /** `seed` draws what its vCPUs do; `belowPath` is a file with what the layers hold that it will be given to map. Rejects if it ends. */
  static async start({
    seed = 1,
    belowPath,
  }: { seed?: number; belowPath?: string } = {}): Promise<ServedVmm> {
    const dir = await mkdtemp('/dev/shm/bough-pager-');
    const vmm = new ServedVmm(dir, [String(seed), ...(belowPath === undefined ? [] : [belowPath])]);
    try {
      await vmm.#answered('its start');
      return vmm;
    } catch (error) {
      await vmm.close();
      throw error;
    }
  }

  /** Starts the vCPUs: after `map`, before a branch. */
  run(): Promise<void> {
    return this.#tell('run');
  }

  /** Has the vCPUs write in other ways from now on, and some pages be written at once. */
  write(): Promise<void> {
    return this.#tell('write');
  }

  /** What QEMU does at the branches to come. */
  behave(script: Script): Promise<void> {
    return this.#tell(`script ${script}`);
  }

  /** What RAM was at the latest stop for a branch. */
  async stoppedMemory(): Promise<Buffer> {
    const path = join(this.dir, 'reference');
    await this.#tell(`keep ${path}`);
    const memory = await readFile(path);
    await rm(path);
    return memory;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#exited;
    await rm(this.dir, { recursive: true, force: true });
  }

  async #tell(command: string): Promise<void> {
    const answered = this.#answered(`"${command}"`);
    this.#process.stdin?.write(`${command}\n`);
    await answered;
  }

  async #answered(when: string): Promise<void> {
    const ended = this.#exited.then(() => Promise.reject(new Error(`The fake VMM ended at ${when}`)));
    await Promise.race([once(this.#lines, 'line'), ended]);
  }
}
