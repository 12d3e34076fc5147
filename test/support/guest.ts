/** The inside of a sandbox as tests see it, through a host in this process or through a daemon's API. */
import assert from 'node:assert/strict';
import { compact } from '../../src/base/index.js';
import { wireEvaluated } from '../../src/daemon/v1/answers.js';
import type { EvalResult, ExecResult } from '../../src/contract/index.js';
import type { LocalHost } from '../../src/sandbox/host/local-host.js';
import type { Bough } from '../../src/sdk/index.js';
import { limitMs } from './time-limit.js';

const DEADLINE_MS = limitMs(60_000);

export class Guest {
  readonly id: string;
  readonly #exec: (args: string[], stdin: string | undefined) => Promise<ExecResult>;
  readonly #evaluate: (code: string) => Promise<EvalResult>;

  private constructor(id: string, exec: Guest['exec'], evaluate: (code: string) => Promise<EvalResult>) {
    this.id = id;
    this.#exec = exec;
    this.#evaluate = evaluate;
  }

  static ofHost(host: LocalHost, id: string): Guest {
    const timeoutMs = DEADLINE_MS;
    return new Guest(
      id,
      async (args, stdin) => {
        const { exitCode, ...output } = await host.exec(id, { args, timeoutMs, ...compact({ stdin }) });
        return { ...output, exit_code: exitCode };
      },
      async (code) => wireEvaluated(await host.evaluate(id, { code, timeoutMs })),
    );
  }

  static ofDaemon(client: Bough, id: string): Guest {
    return new Guest(
      id,
      (args, stdin) => client.sandboxes.exec(id, { args, stdin, timeout_secs: DEADLINE_MS / 1000 }),
      (code) => client.sandboxes.eval(id, { code, timeout_secs: DEADLINE_MS / 1000 }),
    );
  }

  /** Runs a program, whatever its status. */
  exec(args: string[], stdin?: string): Promise<ExecResult> {
    return this.#exec(args, stdin);
  }

  /** Runs a shell script, which must succeed; its trimmed output. */
  async shell(script: string): Promise<string> {
    const { stdout, stderr, exit_code } = await this.#exec(['sh', '-c', script], undefined);
    assert.equal(exit_code, 0, stderr);
    return stdout.trim();
  }

  /** Evaluates Python in the warm interpreter, which must succeed; the value's repr. */
  async python(code: string): Promise<string | null> {
    const { result, error } = await this.#evaluate(code);
    assert.equal(error, null);
    return result;
  }

  /** A Python expression whose repr is JSON, such as a list of numbers. */
  async read<T>(expression: string): Promise<T> {
    return JSON.parse((await this.python(expression)) ?? 'null') as T;
  }

  /** Leaves a Python program running in the background of the guest. */
  async start(program: string, ...args: (string | number)[]): Promise<void> {
    const launch = 'setsid python3 -c "$@" </dev/null >/dev/null 2>/run/program.err &';
    await this.exec(['/bin/sh', '-c', launch, 'sh', program, ...args.map(String)]);
  }
}
