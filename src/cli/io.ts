/** What the command line has of its process: data goes to stdout, words to stderr. Tests give their own. */

import { OutputClosed } from './exit.js';
import { readChunks, readText } from './standard-input.js';
import { processTerminal, type Terminal } from './terminal.js';

export type SignalName = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGQUIT';

export interface Io {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Resolves when they are taken, so that who reads slowly slows down what comes. Rejects with OutputClosed once nobody reads. */
  readonly write: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => Promise<void>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether words on stderr are read by a person as they come. */
  readonly isTerminal: boolean;
  /** All of standard input as text; throws UsageError when it is larger, or no text. */
  readonly readStdin: (limitBytes: number) => Promise<string>;
  /** Standard input as it comes, until it ends or the signal fires; closed after that. */
  readonly stdinChunks: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
  /** The terminal that standard input and output are; undefined when one of them is something else. */
  readonly terminal: Terminal | undefined;
  /** Tells of signals to this process, which do not end it meanwhile; call what it returns to hear no more. */
  readonly onSignal: (listener: (name: SignalName) => void) => () => void;
}

/** The real one. A reader that closes the pipe early (`| head`) is no failure: what it would have read is left out. */
export function processIo(): Io {
  const stdout = writerTo(process.stdout);
  const stderr = writerTo(process.stderr);
  return {
    stdout: stdout.text,
    stderr: stderr.text,
    write: (stream, bytes) => (stream === 'stdout' ? stdout : stderr).bytes(bytes),
    env: process.env,
    isTerminal: process.stderr.isTTY,
    readStdin: (limitBytes) => readText(process.stdin, limitBytes),
    stdinChunks: (signal) => readChunks(process.stdin, signal),
    terminal: processTerminal(),
    onSignal: listenForSignals,
  };
}

interface Writer {
  readonly text: (text: string) => void;
  readonly bytes: (bytes: Uint8Array) => Promise<void>;
}

function writerTo(stream: NodeJS.WriteStream): Writer {
  let closed: OutputClosed | undefined;
  stream.on('error', (cause: NodeJS.ErrnoException) => {
    closed = new OutputClosed({ cause });
    if (cause.code !== 'EPIPE') process.exitCode = 1;
  });
  return {
    text: (text) => {
      if (closed === undefined) stream.write(text);
    },
    bytes: (bytes) =>
      new Promise((resolve, reject) => {
        if (closed !== undefined) reject(closed);
        else stream.write(bytes, (cause) => (cause ? reject(new OutputClosed({ cause })) : resolve()));
      }),
  };
}

function listenForSignals(listener: (name: SignalName) => void): () => void {
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
  const onSignal = (name: NodeJS.Signals): void => listener(name as SignalName);
  for (const name of names) process.on(name, onSignal);
  return () => {
    for (const name of names) process.off(name, onSignal);
  };
}
