/**
 * The guest agent as the daemon sees it: one channel for each operation, each carrying the sandbox's secret.
 *
 * No connection with a call on it is kept, so nothing breaks when the guest is branched, paused or restored between two calls. Deadlines are
 * kept in the guest, where they kill the program; this side allows a little more and then stops waiting.
 *
 * Not handled: retries. A caller knows what may be repeated; `waitReady` repeats because a ping may be.
 */
import type { CallOptions, Endpoint } from './call.js';
import { Channels } from './channels.js';
import type { ChannelAddress } from './connection.js';
import { AgentFiles } from './files.js';
import type { Frame } from './frames.js';
import type { Input } from './input.js';
import { dial, type PortConnection } from './operations/dial.js';
import { evaluate, type EvalResult } from './operations/eval.js';
import {
  collected,
  execStream,
  type CollectedExecRequest,
  type ExecEvent,
  type ExecRequest,
  type ExecResult,
} from './operations/exec.js';
import { freeze, type FreezeOptions, type HeldPrograms } from './operations/freeze.js';
import { identify, type IdentifyRequest, type IdentifyResult } from './operations/identify.js';
import { ping, waitReady, waitWarm, type Pong } from './operations/ping.js';
import {
  attachProcess,
  feedProcess,
  getProcess,
  listProcesses,
  processOutput,
  resizeProcess,
  signalProcess,
  startAttached,
  startProcess,
  type OutputRequest,
  type Process,
  type ProcessEvents,
  type StartRequest,
  type TerminalSize,
} from './operations/process.js';
import { setClock } from './operations/set-clock.js';
import { setEnv } from './operations/set-env.js';
import { guestStats, type GuestStats } from './operations/stats.js';
import { Slots } from './slots.js';

/** Where the agent is, from the host; no secret yet for a guest that has just been booted. */
export type AgentAddress = ChannelAddress & { readonly secret?: string };

interface ClientOptions {
  /** For a client that is asked again and again: the next channel is made ready while nobody waits for it (channels.ts). */
  readonly connectsAhead?: boolean;
  /** Sockets of the guest's serial ports, which it is to use besides. */
  readonly serialSockets?: readonly string[];
}

/** Calls to one guest at a time, those that wait for a program included; more wait. Its agent takes 200. */
export const MAX_CALLS = 128;

/** Streams of kept processes at a time; an agent that has those takes 1,200 connections. */
export const MAX_STREAMS = 1_000;

export class AgentClient {
  #endpoint: Endpoint;
  /** The guest's files. */
  readonly files = new AgentFiles(() => this.#endpoint);

  constructor(
    { secret, ...address }: AgentAddress,
    { connectsAhead = false, serialSockets = [] }: ClientOptions = {},
  ) {
    const [slots, streams] = [new Slots(MAX_CALLS), new Slots(MAX_STREAMS)];
    const channels = new Channels(address, { connectsAhead, serialSockets });
    this.#endpoint = { address, secret, slots, streams, channels };
  }

  /** Whether the agent answers and how its warm interpreter is. Every call throws what errors.ts lists. */
  ping(options: CallOptions = {}): Promise<Pong> {
    return ping(this.#endpoint, options);
  }

  /**
   * Runs a program and collects its output, or gives it to `onOutput` as it comes and answers without it. Throws AgentDeadline
   * when the program was killed at `timeoutMs`.
   */
  exec({ onOutput, ...request }: CollectedExecRequest, signal?: AbortSignal): Promise<ExecResult> {
    return collected(this.execStream(request, signal), onOutput);
  }

  /** Runs a program and yields its output as it comes, last of all its exit. Whoever stops iterating kills it. */
  execStream(request: ExecRequest, signal?: AbortSignal): AsyncGenerator<ExecEvent, void, undefined> {
    return execStream(this.#endpoint, request, { signal });
  }

  /** Evaluates code in the image's warm interpreter; an error of the code's own is in the result. */
  eval(code: string, options: CallOptions = {}): Promise<EvalResult> {
    return evaluate(this.#endpoint, code, options);
  }

  /** Starts a program that is kept, whoever is attached to it. */
  startProcess(request: StartRequest, options: CallOptions = {}): Promise<Process> {
    return startProcess(this.#endpoint, request, options);
  }

  /** Starts one and yields what it prints, `started` first and `end` last. With `kill` it ends with whoever stops iterating. */
  startAttached(
    request: StartRequest,
    how: {
      readonly kill: boolean;
      readonly input?: Input | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): ProcessEvents {
    return startAttached(this.#endpoint, request, how);
  }

  /** All that run, and those that ended not long ago, the latest first. */
  processes(options: CallOptions = {}): Promise<Process[]> {
    return listProcesses(this.#endpoint, options);
  }

  /** Throws AgentRefused `no_process`, as all that take a pid. */
  process(pid: number, options: CallOptions = {}): Promise<Process> {
    return getProcess(this.#endpoint, pid, options);
  }

  /** What a process printed from offsets on, and with `follow` what it prints until it is over; at its end what became of it. */
  output(pid: number, request: OutputRequest, signal?: AbortSignal): ProcessEvents {
    return processOutput(this.#endpoint, pid, { request, signal });
  }

  /** As `output` with `follow`; `frames` are for it: STDIN and CONTROL. */
  attach(
    pid: number,
    how: {
      readonly request: OutputRequest;
      readonly frames: AsyncIterable<Frame<Uint8Array>>;
      readonly signal?: AbortSignal | undefined;
    },
  ): ProcessEvents {
    return attachProcess(this.#endpoint, pid, how);
  }

  /** Writes to a process; resolves with how many bytes its standard input has had. Throws AgentRefused `stdin_closed`. */
  feed(
    pid: number,
    how: { readonly input: Input; readonly eof: boolean; readonly signal?: AbortSignal | undefined },
  ): Promise<number> {
    return feedProcess(this.#endpoint, pid, how);
  }

  /** Sends a signal by its number. Throws AgentRefused `process_ended`. */
  signal(
    which: { readonly pid: number; readonly signalNumber: number },
    options: CallOptions = {},
  ): Promise<void> {
    return signalProcess(this.#endpoint, which, options);
  }

  /** Tells a terminal its new size. Throws AgentRefused `no_terminal`. */
  resize(
    which: { readonly pid: number; readonly size: TerminalSize },
    options: CallOptions = {},
  ): Promise<void> {
    return resizeProcess(this.#endpoint, which, options);
  }

  /**
   * Begins to connect to a TCP port of the guest; each direction of the stream ends for itself. `connected` rejects with AgentRefused
   * `not_connected` when nothing listens there. The signal is for as long as the stream is open.
   */
  dial(port: number, options: CallOptions = {}): PortConnection {
    return dial(this.#endpoint, port, options);
  }

  /**
   * Makes the guest a machine of its own: clock, randomness, names, secret, environment. Claims a guest that has no secret yet.
   * After it this client uses the new secret.
   */
  async identify(request: IdentifyRequest, options: CallOptions = {}): Promise<IdentifyResult> {
    this.#endpoint.channels.drop();
    const identified = await identify(this.#endpoint, request, options);
    this.#endpoint = { ...this.#endpoint, secret: request.newSecret };
    return identified;
  }

  /** Makes the guest's programs stand still. Throws AgentRefused `not_frozen` when one does not, and for an agent that is too old. */
  freeze(options: FreezeOptions = {}): Promise<HeldPrograms> {
    return freeze(this.#endpoint, options);
  }

  /** What the guest says that it uses. Throws AgentRefused for an agent that is too old to know. */
  stats(options: CallOptions = {}): Promise<GuestStats> {
    return guestStats(this.#endpoint, options);
  }

  /** Sets the guest's wall clock to the host's. Throws AgentRefused for an agent that is too old to know how. */
  setClock(options: CallOptions = {}): Promise<void> {
    return setClock(this.#endpoint, options);
  }

  /**
   * Adds to the default environment of programs, and to the warm interpreter's before its next piece of code. Throws AgentRefused
   * `unknown_op` for an agent that is too old.
   */
  setEnv(env: Readonly<Record<string, string>>, options: CallOptions = {}): Promise<void> {
    return setEnv(this.#endpoint, env, options);
  }

  /** Lets go of what stands ready for the next call; calls that are under way on serial ports fail. */
  close(): void {
    this.#endpoint.channels.end();
  }

  /** Waits until an agent answers at all, if only that it wants a secret. Throws AgentDeadline. */
  waitReady(options: CallOptions = {}): Promise<void> {
    return waitReady(this.#endpoint, options);
  }

  /** Waits until the warm interpreter has started; throws AgentRefused when it cannot, AgentDeadline when it takes too long. */
  waitWarm(options: CallOptions = {}): Promise<Pong> {
    return waitWarm(this.#endpoint, options);
  }
}
