/**
 * A program in a guest as if it ran here: bytes both ways as they are, signals, a terminal, its status.
 *
 * It is a kept process that ends with the stream of its output. So when this command is killed or nobody reads its output any more, the
 * program ends too.
 */

import { ResourceStack } from '../base/index.js';
import type { Process as ProcessInfo } from '../contract/index.js';
import type { Process, Processes } from '../sdk/index.js';
import { BoughApiError } from '../sdk/index.js';
import { ProgramTimedOut } from './exit.js';
import type { Interrupts } from './interrupts.js';
import type { Io } from './io.js';
import type { Terminal } from './terminal.js';

export interface GuestProgram {
  readonly args: readonly string[];
  readonly env?: Record<string, string> | undefined;
  readonly cwd?: string | undefined;
  readonly user?: string | undefined;
  readonly timeoutSecs?: number | undefined;
  /** Whether it gets standard input. */
  readonly hasInput: boolean;
  /** Whether it gets a terminal, if there is one here. */
  readonly wantsTerminal: boolean;
}

/** Runs it and resolves with its status. Throws ProgramTimedOut, or the reason of `interrupts.signal`. */
export async function runGuestProgram(
  io: Io,
  processes: Processes,
  program: GuestProgram,
  interrupts: Interrupts,
): Promise<number> {
  const terminal = terminalFor(io, program);
  const hasInput = program.hasInput || terminal !== undefined;
  const end = new AbortController();
  const pieces = processes.startAttached(program.args, startRequest(program, hasInput, terminal), {
    signal: AbortSignal.any([interrupts.signal, end.signal]),
  });
  await using undo = new ResourceStack();
  undo.defer(() => end.abort());
  for await (const piece of pieces) {
    if (piece.type === 'started') {
      const process = processes.of(piece.process.pid);
      undo.defer(interrupts.passTo((name) => void process.signal(name).catch(ignore)));
      if (terminal !== undefined) undo.defer(connectTerminal(terminal, process));
      if (hasInput) feed(process, io.stdinChunks(end.signal)).catch((error: unknown) => end.abort(error));
    } else if (piece.type === 'end') return statusOf(piece.process, program);
    else if ('text' in piece) await io.write(piece.type === 'stderr' ? 'stderr' : 'stdout', piece.bytes);
  }
  throw new Error('The program was cut off: its output ended before it did');
}

function terminalFor(io: Io, { wantsTerminal }: GuestProgram): Terminal | undefined {
  if (wantsTerminal && io.terminal === undefined)
    io.stderr('note: standard input and output are no terminal; going on without one\n');
  return wantsTerminal ? io.terminal : undefined;
}

function startRequest(
  { env, cwd, user, timeoutSecs }: GuestProgram,
  hasInput: boolean,
  terminal: Terminal | undefined,
): Parameters<Processes['startAttached']>[1] {
  const pty = terminal?.size();
  return { env, cwd, user, pty, stdin: hasInput, timeout_secs: timeoutSecs, on_disconnect: 'kill' };
}

function statusOf({ timed_out: timedOut, exit_code: exitCode }: ProcessInfo, program: GuestProgram): number {
  if (timedOut === true) throw new ProgramTimedOut(program.timeoutSecs);
  return exitCode ?? 0;
}

/** Every key and every size goes on, until what this returns is called. */
function connectTerminal(terminal: Terminal, process: Process): () => void {
  const restore = terminal.makeRaw();
  const stopListening = terminal.onResize(() => void process.resize(terminal.size()).catch(ignore));
  return () => {
    stopListening();
    restore();
  };
}

/** Input that the program does not want any more is no failure. */
async function feed(process: Process, input: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const chunk of input) await process.write(chunk);
    await process.write('', { eof: true });
  } catch (error) {
    if (!(error instanceof BoughApiError && NOT_WANTED.has(error.code))) throw error;
  }
}

const NOT_WANTED = new Set(['stdin_closed', 'process_ended', 'process_not_found', 'sandbox_not_found']);

/** The program ended meanwhile; its stream says so. */
function ignore(): void {
  return undefined;
}
