/** exec: runs one program with its input and output streamed. */
import { z } from 'zod';
import { readAnswer } from '../answers.js';
import { framesOf, type CallOptions, type Endpoint } from '../call.js';
import { Capture } from '../capture.js';
import { AgentProtocolError } from '../errors.js';
import { FrameKind } from '../frames.js';
import type { Input } from '../input.js';

export interface ExecRequest {
  /** Program and arguments; no shell is involved. */
  readonly args: readonly string[];
  /** Added to the guest's default environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Of the image, by name or number, perhaps with a group: `app`, `1000:1000`. The image's by default. */
  readonly user?: string;
  readonly stdin?: Input;
  /** After this the program's whole process group is killed. */
  readonly timeoutMs?: number;
}

/** One whose output is collected, or given to `onOutput` as it comes; the result is without it then. */
export interface CollectedExecRequest extends ExecRequest {
  readonly onOutput?: (stream: 'stdout' | 'stderr', bytes: Buffer) => void;
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

export const exitAnswer = z.object({ exitCode: z.int() });

/** Runs a program and yields its output as it comes, last of all its exit. Whoever stops iterating kills it. */
export async function* execStream(
  endpoint: Endpoint,
  { stdin = '', ...fields }: ExecRequest,
  options: CallOptions,
): AsyncGenerator<ExecEvent, void, undefined> {
  for await (const { kind, payload } of framesOf(endpoint, { op: 'exec', fields, input: stdin }, options)) {
    if (kind === FrameKind.stdout) yield { type: 'stdout', bytes: payload };
    else if (kind === FrameKind.stderr) yield { type: 'stderr', bytes: payload };
    else {
      const { timeoutMs } = fields;
      yield { type: 'exit', ...readAnswer(exitAnswer, payload, { operation: 'exec', timeoutMs }) };
    }
  }
}

/** The output of a program that ends, as text, unless somebody else takes it. Throws what the stream does. */
export async function collected(
  events: AsyncIterable<ExecEvent>,
  onOutput?: CollectedExecRequest['onOutput'],
): Promise<ExecResult> {
  const output = { stdout: new Capture(), stderr: new Capture() };
  for await (const event of events) {
    if (event.type !== 'exit') {
      if (onOutput === undefined) output[event.type].add(event.bytes);
      else onOutput(event.type, event.bytes);
      continue;
    }
    const { stdout, stderr } = output;
    const truncated = stdout.truncated || stderr.truncated;
    return { stdout: stdout.text(), stderr: stderr.text(), exitCode: event.exitCode, truncated };
  }
  throw new AgentProtocolError('The guest ended exec without an exit code');
}
