/** Kept processes: started, listed, read from any offset, fed, signalled. They outlive the connection that started them. */
import { z } from 'zod';
import { readAnswer } from '../answers.js';
import {
  ask,
  DEFAULT_TIMEOUT_MS,
  framesOf,
  type CallOptions,
  type Endpoint,
  type Operation,
} from '../call.js';
import { AgentProtocolError } from '../errors.js';
import { FrameKind, parseObject, type Frame } from '../frames.js';
import type { Input } from '../input.js';
import { fromWire } from '../wire.js';

export interface TerminalSize {
  readonly cols: number;
  readonly rows: number;
}

export interface StartRequest {
  /** Program and arguments; no shell is involved. */
  readonly args: readonly string[];
  /** Added to the guest's default environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  /** Of the image, by name or number, perhaps with a group: `app`, `1000:1000`. The image's by default. */
  readonly user?: string | undefined;
  /** A name for it, shown in lists. */
  readonly tag?: string | undefined;
  /** With a terminal of that size; input and output are its. */
  readonly pty?: TerminalSize | undefined;
  /** Whether it has a standard input to write to; it reads from /dev/null otherwise. */
  readonly stdin?: boolean | undefined;
  /** After this everything it started is killed. */
  readonly timeoutMs?: number | undefined;
}

const processAnswer = z.object({
  pid: z.int().positive(),
  args: z.array(z.string()),
  tag: z.string().optional(),
  pty: z.boolean(),
  startedAtUnix: z.int(),
  running: z.boolean(),
  exitCode: z.int().optional(),
  signal: z.int().optional(),
  endedAtUnix: z.int().optional(),
  timedOut: z.boolean().optional(),
  stdinBytes: z.int().nonnegative(),
  stdoutFrom: z.int().nonnegative(),
  stdoutTo: z.int().nonnegative(),
  stderrFrom: z.int().nonnegative(),
  stderrTo: z.int().nonnegative(),
});

/**
 * A kept process. Of what it printed, the bytes from `stdoutFrom` up to `stdoutTo` can still be read; the first byte it ever printed
 * has offset 0. `exitCode` is as a shell has it.
 */
export type Process = z.infer<typeof processAnswer>;

/** A piece of what it prints, bytes that are gone, how it was started, or, last of all, what became of it. */
export type ProcessEvent =
  | { readonly type: 'started'; readonly process: Process }
  | { readonly type: 'stdout' | 'stderr' | 'pty'; readonly bytes: Buffer }
  | { readonly type: 'gap'; readonly stream: 'stdout' | 'stderr'; readonly goneBytes: number }
  | { readonly type: 'end'; readonly process: Process };

export type ProcessEvents = AsyncGenerator<ProcessEvent, void, undefined>;

/** Which output: from offsets on, and whether to wait for what is printed later. */
export interface OutputRequest {
  readonly stdoutFrom?: number | undefined;
  readonly stderrFrom?: number | undefined;
  readonly follow?: boolean | undefined;
}

const listAnswer = z.object({ processes: z.array(processAnswer) });
const inputAnswer = z.object({ stdinBytes: z.int().nonnegative() });
const nothing = z.object({});

/** Starts a program that nobody is attached to. */
export function startProcess(
  endpoint: Endpoint,
  request: StartRequest,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<Process> {
  return ask(endpoint, { op: 'start', fields: startFields(request) }, processAnswer, { timeoutMs, signal });
}

/** A `timeoutMs` among the fields would be the call's deadline; this one is the program's. */
function startFields({ timeoutMs, ...request }: StartRequest): Operation['fields'] {
  return { ...request, timeout_secs: timeoutMs === undefined ? undefined : timeoutMs / 1000 };
}

/** Starts a program and yields what it prints, `started` first and `end` last. With `kill` it does not outlive the stream. */
export function startAttached(
  endpoint: Endpoint,
  request: StartRequest,
  {
    input,
    kill,
    signal,
  }: {
    readonly input?: Input | undefined;
    readonly kill: boolean;
    readonly signal?: AbortSignal | undefined;
  },
): ProcessEvents {
  const fields = {
    ...startFields(request),
    ...(input === undefined ? {} : { stdin: true }),
    attach: true,
    killOnDisconnect: kill,
  };
  return eventsOf(endpoint, { op: 'start', fields, input }, signal);
}

/** What a program printed, from the offsets on; with `follow` until it is over. */
export function processOutput(
  endpoint: Endpoint,
  pid: number,
  { request, signal }: { readonly request: OutputRequest; readonly signal?: AbortSignal | undefined },
): ProcessEvents {
  return eventsOf(endpoint, { op: 'output', fields: { pid, ...request } }, signal);
}

/**
 * As `processOutput` that follows, and whoever is attached may send frames: STDIN, an empty one at its end, and CONTROL with a new size
 * or a signal.
 */
export function attachProcess(
  endpoint: Endpoint,
  pid: number,
  {
    request: { stdoutFrom, stderrFrom },
    frames,
    signal,
  }: {
    readonly request: OutputRequest;
    readonly frames: AsyncIterable<Frame<Uint8Array>>;
    readonly signal?: AbortSignal | undefined;
  },
): ProcessEvents {
  return eventsOf(endpoint, { op: 'attach', fields: { pid, stdoutFrom, stderrFrom }, frames }, signal);
}

async function* eventsOf(
  endpoint: Endpoint,
  operation: Operation,
  signal: AbortSignal | undefined,
): ProcessEvents {
  for await (const { kind, payload } of framesOf(endpoint, { ...operation, isStream: true }, { signal })) {
    yield eventOf(operation.op, kind, payload);
  }
}

const startedEvent = z.object({ started: processAnswer });
const gapEvent = z.object({ gap: z.object({ stream: z.enum(['stdout', 'stderr']), bytes: z.int() }) });

/** What a frame of a stream of a process says. */
export function eventOf(op: string, kind: number, payload: Buffer): ProcessEvent {
  if (kind === FrameKind.stdout) return { type: 'stdout', bytes: payload };
  if (kind === FrameKind.stderr) return { type: 'stderr', bytes: payload };
  if (kind === FrameKind.pty) return { type: 'pty', bytes: payload };
  if (kind === FrameKind.end) {
    return {
      type: 'end',
      process: readAnswer(processAnswer, payload, { operation: op, timeoutMs: undefined }),
    };
  }
  const event = fromWire(parseObject(payload));
  const gap = gapEvent.safeParse(event);
  if (gap.success) return { type: 'gap', stream: gap.data.gap.stream, goneBytes: gap.data.gap.bytes };
  const started = startedEvent.safeParse(event);
  if (started.success) return { type: 'started', process: started.data.started };
  throw new AgentProtocolError(`The guest sent an event of ${op} that is none`);
}

/** All that run, and those that ended not long ago, the latest first. */
export async function listProcesses(
  endpoint: Endpoint,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<Process[]> {
  const operation = { op: 'processes', fields: {}, isShort: true };
  const { processes } = await ask(endpoint, operation, listAnswer, { timeoutMs, signal });
  return processes;
}

export function getProcess(
  endpoint: Endpoint,
  pid: number,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<Process> {
  const operation = { op: 'process', fields: { pid }, isShort: true };
  return ask(endpoint, operation, processAnswer, { timeoutMs, signal });
}

/** Writes to its standard input, and closes that with `eof`. Resolves with how many bytes it has had by then. */
export async function feedProcess(
  endpoint: Endpoint,
  pid: number,
  {
    input,
    eof,
    signal,
  }: { readonly input: Input; readonly eof: boolean; readonly signal?: AbortSignal | undefined },
): Promise<number> {
  const operation = { op: 'stdin', fields: { pid, eof }, input, isStream: true };
  const { stdinBytes } = await ask(endpoint, operation, inputAnswer, { signal });
  return stdinBytes;
}

/** SIGKILL reaches everything that it started, any other signal its process group. */
export async function signalProcess(
  endpoint: Endpoint,
  { pid, signalNumber }: { readonly pid: number; readonly signalNumber: number },
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<void> {
  const operation = { op: 'signal', fields: { pid, signal: signalNumber }, isShort: true };
  await ask(endpoint, operation, nothing, { timeoutMs, signal });
}

export async function resizeProcess(
  endpoint: Endpoint,
  { pid, size }: { readonly pid: number; readonly size: TerminalSize },
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<void> {
  const operation = { op: 'resize', fields: { pid, ...size }, isShort: true };
  await ask(endpoint, operation, nothing, { timeoutMs, signal });
}
