/**
 * The guest agent as the daemon sees it: one TCP connection for each operation, each carrying the sandbox's secret.
 *
 * No connection is kept, so nothing breaks when the guest is branched, paused or restored between two calls. Deadlines are
 * kept in the guest, where they kill the program; this side allows a little more and then stops waiting.
 *
 * Not handled: retries. A caller knows what may be repeated; `waitReady` repeats because a ping may be.
 */
import { randomBytes } from 'node:crypto';
import type { z } from 'zod';
import { monotonicMs, sleep } from '../base/index.js';
import { evalAnswer, execAnswer, identifyAnswer, pongAnswer, readAnswer } from './answers.js';
import { Capture } from './capture.js';
import { AgentDeadline, AgentProtocolError, AgentRefused, AgentUnreachable } from './errors.js';
import { exchange, type Input } from './exchange.js';
import { FrameKind } from './frames.js';

/** Where the agent is, from the host; no secret yet for a guest that has just been booted. */
export interface AgentAddress {
  readonly host: string;
  readonly port: number;
  readonly secret?: string;
}

/** `timeoutMs` is for the whole call; `signal` gives up on it, which cancels the operation in the guest. */
export interface CallOptions {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ExecRequest {
  /** Program and arguments; no shell is involved. */
  readonly args: readonly string[];
  /** Added to the guest's default environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: Input;
  /** After this the program's whole process group is killed. */
  readonly timeoutMs?: number;
}

export interface ExecResult {
  readonly stdout: string;
  readonly stderr: string;
  /** As a shell has it: 128 + n after signal n, 127 not found, 126 not executable. */
  readonly exitCode: number;
  /** Whether output was left out beyond MAX_CAPTURED_BYTES. */
  readonly truncated: boolean;
}

/** A piece of output, or how the program ended. */
export type ExecEvent =
  | { readonly type: 'stdout' | 'stderr'; readonly bytes: Buffer }
  | { readonly type: 'exit'; readonly exitCode: number };

export interface EvalResult {
  readonly result: string | null;
  readonly error: string | null;
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Whether output was left out. */
  readonly truncated: boolean;
}

export interface IdentifyRequest {
  /** Replaces the guest's secret, and from then on this client's. */
  readonly newSecret: string;
  /** At least 32 bytes of randomness for the guest's kernel. */
  readonly seed: Uint8Array;
  readonly unixTimeNs: bigint;
  readonly hostname?: string;
  readonly machineId?: string;
  /** Default environment of all programs. */
  readonly env?: Readonly<Record<string, string>>;
  readonly hookTimeoutMs?: number;
}

export interface IdentifyResult {
  readonly hostname: string;
  /** False when a guest that had been booted was claimed. */
  readonly restored: boolean;
  /** How the image's after-restore hook ended: null when there is none. */
  readonly hook: { readonly exitCode: number } | { readonly error: string } | null;
}

export interface Pong {
  readonly pong: true;
  readonly interpreter: 'none' | 'starting' | 'ready' | 'failed';
  readonly uptimeSecs: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/** How much longer than the guest's own deadline this side waits for its answer. */
const ANSWER_GRACE_MS = 5_000;

const READY_RETRY_MS = 50;

/** A packet to a guest without a network yet is lost, so short attempts find it soonest; a loaded one needs longer to answer. */
const FIRST_ATTEMPT_MS = 250;
const LONGEST_ATTEMPT_MS = 3_000;
const ATTEMPT_GROWTH = 1.3;

const NONCE_BYTES = 16;

export class AgentClient {
  readonly #host: string;
  readonly #port: number;
  #secret: string | undefined;

  constructor({ host, port, secret }: AgentAddress) {
    this.#host = host;
    this.#port = port;
    this.#secret = secret;
  }

  /** Whether the agent answers and how its warm interpreter is. Every call throws what errors.ts lists. */
  async ping({ timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions = {}): Promise<Pong> {
    return toPong(await this.#ask('ping', {}, pongAnswer, { timeoutMs, signal }));
  }

  /** Runs a program and collects its output. Throws AgentDeadline when it was killed at `timeoutMs`. */
  async exec(request: ExecRequest, signal?: AbortSignal): Promise<ExecResult> {
    const output = { stdout: new Capture(), stderr: new Capture() };
    for await (const event of this.execStream(request, signal)) {
      if (event.type !== 'exit') {
        output[event.type].add(event.bytes);
        continue;
      }
      const { stdout, stderr } = output;
      const truncated = stdout.truncated || stderr.truncated;
      return { stdout: stdout.text(), stderr: stderr.text(), exitCode: event.exitCode, truncated };
    }
    throw new AgentProtocolError('The guest ended exec without an exit code');
  }

  /** Runs a program and yields its output as it comes, last of all its exit. Whoever stops iterating kills it. */
  async *execStream(
    { args, env, cwd, stdin, timeoutMs }: ExecRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<ExecEvent, void, undefined> {
    const request = this.#request('exec', { args, env, cwd, timeout_secs: toSeconds(timeoutMs) });
    const frames = exchange({
      ...this.#address,
      request,
      stdin: stdin ?? '',
      timeoutMs: timeoutMs === undefined ? undefined : timeoutMs + ANSWER_GRACE_MS,
      signal,
    });
    for await (const { kind, payload } of frames) {
      if (kind === FrameKind.stdout) yield { type: 'stdout', bytes: payload };
      else if (kind === FrameKind.stderr) yield { type: 'stderr', bytes: payload };
      else {
        const answer = readAnswer(execAnswer, payload, { operation: 'exec', timeoutMs });
        yield { type: 'exit', exitCode: answer.exit_code };
      }
    }
  }

  /** Evaluates code in the image's warm interpreter; an error of the code's own is in the result. */
  async eval(
    code: string,
    { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions = {},
  ): Promise<EvalResult> {
    const fields = { code, timeout_secs: toSeconds(timeoutMs) };
    const answer = await this.#ask('eval', fields, evalAnswer, {
      timeoutMs: timeoutMs + ANSWER_GRACE_MS,
      signal,
      guestTimeoutMs: timeoutMs,
    });
    const { result, error, exit_code: exitCode, stdout, stderr, truncated = false } = answer;
    return { result, error, exitCode, stdout, stderr, truncated };
  }

  /**
   * Makes the guest a machine of its own: clock, randomness, names, secret, environment. Claims a guest that has no secret yet.
   * After it this client uses the new secret.
   */
  async identify(
    { newSecret, seed, unixTimeNs, hostname, machineId, env, hookTimeoutMs }: IdentifyRequest,
    { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions = {},
  ): Promise<IdentifyResult> {
    const nonce = randomBytes(NONCE_BYTES).toString('hex');
    const fields = {
      new_secret: newSecret,
      nonce,
      seed: Buffer.from(seed).toString('base64'),
      unix_time_ns: String(unixTimeNs),
      hostname,
      machine_id: machineId,
      env,
      hook_timeout_secs: toSeconds(hookTimeoutMs),
    };
    const answer = await this.#ask('identify', fields, identifyAnswer, { timeoutMs, signal });
    if (answer.nonce !== nonce) throw new AgentProtocolError('The guest answered another identify than ours');
    this.#secret = newSecret;
    const { hook } = answer;
    return {
      hostname: answer.hostname,
      restored: answer.restored,
      hook: hook !== null && 'exit_code' in hook ? { exitCode: hook.exit_code } : hook,
    };
  }

  /** Powers the guest off; returns when the agent has taken the request. */
  async shutdown({ timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions = {}): Promise<void> {
    await this.#ask('shutdown', {}, execAnswer.partial(), { timeoutMs, signal });
  }

  /** Waits until an agent answers at all, if only that it wants a secret. Throws AgentDeadline. */
  async waitReady({ timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions = {}): Promise<void> {
    const endMs = monotonicMs() + timeoutMs;
    for (
      let attemptMs = FIRST_ATTEMPT_MS;
      ;
      attemptMs = Math.min(attemptMs * ATTEMPT_GROWTH, LONGEST_ATTEMPT_MS)
    ) {
      const leftMs = endMs - monotonicMs();
      if (leftMs <= 0) throw new AgentDeadline('booting', timeoutMs);
      try {
        await this.ping({ timeoutMs: Math.min(leftMs, attemptMs), signal });
        return;
      } catch (error) {
        if (error instanceof AgentRefused) return;
        if (!(error instanceof AgentUnreachable || error instanceof AgentDeadline)) throw error;
      }
      await sleep(READY_RETRY_MS, signal);
    }
  }

  /** Waits until the warm interpreter has started; throws AgentRefused when it cannot, AgentDeadline when it takes too long. */
  async waitWarm({ timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions = {}): Promise<Pong> {
    const fields = { warm: true, timeout_secs: toSeconds(timeoutMs) };
    const grace = timeoutMs + ANSWER_GRACE_MS;
    const pong = toPong(await this.#ask('ping', fields, pongAnswer, { timeoutMs: grace, signal }));
    if (pong.interpreter === 'starting') throw new AgentDeadline('starting its interpreter', timeoutMs);
    if (pong.interpreter === 'failed') {
      throw new AgentRefused('to be warm', 'interpreter_failed', 'its interpreter does not start');
    }
    return pong;
  }

  get #address(): { host: string; port: number } {
    return { host: this.#host, port: this.#port };
  }

  #request(op: string, fields: Readonly<Record<string, unknown>>): { op: string } & Record<string, unknown> {
    return { op, secret: this.#secret, ...fields };
  }

  async #ask<T>(
    op: string,
    fields: Readonly<Record<string, unknown>>,
    schema: z.ZodType<T>,
    { timeoutMs, signal, guestTimeoutMs = timeoutMs }: CallOptions & { guestTimeoutMs?: number | undefined },
  ): Promise<T> {
    const frames = exchange({ ...this.#address, request: this.#request(op, fields), timeoutMs, signal });
    for await (const { kind, payload } of frames) {
      if (kind !== FrameKind.end) throw new AgentProtocolError(`The guest answered ${op} with output`);
      return readAnswer(schema, payload, { operation: op, timeoutMs: guestTimeoutMs });
    }
    throw new AgentProtocolError(`The guest did not answer ${op}`);
  }
}

function toPong({ interpreter, uptime_secs: uptimeSecs }: z.infer<typeof pongAnswer>): Pong {
  return { pong: true, interpreter, uptimeSecs };
}

function toSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
