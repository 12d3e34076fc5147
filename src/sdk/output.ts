/** What a program prints, piece by piece, out of frames. */

import type { Process as ProcessInfo } from '../contract/v1/processes.js';
import { failureTold } from './errors.js';
import { frameKinds, type Frame } from './frames.js';

/**
 * What a program printed, as it came.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * const printed: string[] = [];
 * const onPiece = (piece: OutputBytes): void => void printed.push(piece.text);
 * for await (const piece of sandbox.execStream(['echo', 'hello'])) if (piece.type === 'stdout') onPiece(piece);
 * console.log(printed.join('').trim()); // hello
 * ```
 */
export interface OutputBytes {
  /** Which of its outputs; of a program with a terminal there is but one, `pty`. */
  readonly type: 'stdout' | 'stderr' | 'pty';
  /** The bytes. */
  readonly bytes: Uint8Array;
  /** The same as text; a character that is cut in two comes with the next piece, what is not UTF-8 is U+FFFD. */
  readonly text: string;
}

/**
 * Bytes that were asked for are gone: more was printed since than is kept.
 *
 * @example
 * ```ts
 * const gap: OutputGap = { type: 'gap', stream: 'stdout', bytes: 512 };
 * console.log(`${gap.bytes} bytes of ${gap.stream} are gone`); // 512 bytes of stdout are gone
 * ```
 */
export interface OutputGap {
  /** Tells it from the other pieces. */
  readonly type: 'gap';
  /** Of which output; that of a terminal is `stdout`. */
  readonly stream: 'stdout' | 'stderr';
  /** How many. */
  readonly bytes: number;
}

/**
 * A piece of the output of a kept process. `end` is the last one; `started` comes first where the process was started with the stream.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * const told = (piece: ProcessOutput): string => (piece.type === 'end' ? `exit ${piece.process.exit_code}` : piece.type);
 * const server = await sandbox.processes.start(['echo', 'ready']);
 * for await (const piece of server.output()) console.log(told(piece)); // stdout
 * // exit 0
 * ```
 */
export type ProcessOutput =
  OutputBytes | OutputGap | { readonly type: 'started' | 'end'; readonly process: ProcessInfo };

/**
 * A piece of the output of an exec; `end` is the last one.
 *
 * @example
 * ```ts
 * const sandbox = await bough.spawn('base');
 * const pieces: ExecOutput[] = [];
 * for await (const piece of sandbox.execStream(['true'])) pieces.push(piece);
 * console.log(pieces.at(-1)); // { type: 'end', exit_code: 0 }
 * ```
 */
export type ExecOutput = OutputBytes | { readonly type: 'end'; readonly exit_code: number };

interface Failed {
  readonly error?: { readonly code: string; readonly message: string };
}

/** The JSON objects in frames. */
interface Objects {
  readonly event: {
    readonly started?: ProcessInfo;
    readonly gap?: { readonly stream: 'stdout' | 'stderr'; readonly bytes: number };
  };
  readonly processEnd: ProcessInfo & Failed;
  readonly execEnd: { readonly exit_code: number } & Failed;
}

const text = new TextDecoder();

function objectIn<K extends keyof Objects>(kind: K, frame: Frame): Objects[K];
function objectIn(_kind: keyof Objects, { payload }: Frame): unknown {
  const object: unknown = JSON.parse(text.decode(payload));
  return object;
}

function endIn<K extends 'processEnd' | 'execEnd'>(kind: K, frame: Frame): Objects[K] {
  const end = objectIn(kind, frame);
  if (end.error !== undefined) throw failureTold(end.error.code, end.error.message);
  return end;
}

const streams = new Map<number, OutputBytes['type']>([
  [frameKinds.stdout, 'stdout'],
  [frameKinds.stderr, 'stderr'],
  [frameKinds.pty, 'pty'],
]);

/** Reads frames one after the other: of one program, since a character may be cut in two. */
export class OutputReader {
  readonly #decoders = {
    stdout: new TextDecoder(),
    stderr: new TextDecoder(),
    pty: new TextDecoder(),
  };

  /** What a frame of a kept process says; undefined when it only says that the other side is there. */
  ofProcess(frame: Frame): ProcessOutput | undefined {
    if (frame.kind === frameKinds.end) return { type: 'end', process: endIn('processEnd', frame) };
    if (frame.kind !== frameKinds.event) return this.#printed(frame);
    const { started, gap } = objectIn('event', frame);
    if (started !== undefined) return { type: 'started', process: started };
    return gap === undefined ? undefined : this.#gap(gap);
  }

  /** What a frame of an exec says, likewise. */
  ofExec(frame: Frame): ExecOutput | undefined {
    if (frame.kind !== frameKinds.end) return this.#printed(frame);
    return { type: 'end', exit_code: endIn('execEnd', frame).exit_code };
  }

  #printed({ kind, payload }: Frame): OutputBytes | undefined {
    const type = streams.get(kind);
    if (type === undefined) return undefined;
    return { type, bytes: payload, text: this.#decoders[type].decode(payload, { stream: true }) };
  }

  #gap({ stream, bytes }: { stream: 'stdout' | 'stderr'; bytes: number }): OutputGap {
    // What was cut in two is not made whole by what comes after a gap.
    this.#decoders[stream] = new TextDecoder();
    if (stream === 'stdout') this.#decoders.pty = new TextDecoder();
    return { type: 'gap', stream, bytes };
  }
}
