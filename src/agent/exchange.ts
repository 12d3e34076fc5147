/**
 * One operation over one connection: request out, frames in, until the END frame.
 *
 *   connecting ──▶ streaming ──▶ ended
 *        └─────────────┴──────▶ failed (refused, closed early, malformed, deadline, aborted)
 *
 * Frames are pulled: while nobody asks for the next one the socket is paused, TCP slows the agent down and the agent slows the
 * program down. However the iteration ends, also by `break` or an abort, the connection is closed, and that is what cancels the
 * operation in the guest.
 *
 * QEMU's user network accepts a connection also when nobody listens in the guest and closes it then, so a connection that ends
 * before the first byte is no more than "not there yet".
 */
import type { Socket } from 'node:net';
import { abortReason } from '../base/index.js';
import { Connection } from './connection.js';
import { AgentDeadline, AgentProtocolError, AgentUnreachable } from './errors.js';
import { encodeFrame, FrameDecoder, FrameKind, MAX_REQUEST_BYTES, type Frame } from './frames.js';

/** Input of a program: all of it, or pieces as they come. */
export type Input = string | Uint8Array | AsyncIterable<Uint8Array>;

export interface ExchangeOptions {
  readonly host: string;
  readonly port: number;
  readonly request: Readonly<Record<string, unknown>> & { readonly op: string };
  /** Standard input; absent means that the operation reads none. */
  readonly stdin?: Input | undefined;
  /** Time for everything, connecting included; absent means as long as it takes. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const STDIN_CHUNK_BYTES = 64 << 10;

/** Yields every frame up to and including END. Throws AgentUnreachable, AgentProtocolError, AgentDeadline or the signal's reason. */
export async function* exchange(options: ExchangeOptions): AsyncGenerator<Frame, void, undefined> {
  const { host, port, request, signal, timeoutMs } = options;
  signal?.throwIfAborted();
  const encoded = Buffer.from(JSON.stringify(request));
  if (encoded.length > MAX_REQUEST_BYTES) {
    throw new TypeError(
      `A request to the guest has at most ${MAX_REQUEST_BYTES} bytes, not ${encoded.length}`,
    );
  }
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal === undefined ? undefined : abortReason(signal));
  signal?.addEventListener('abort', onAbort, { once: true });
  const onDeadline = (): void => stop.abort(new AgentDeadline(request.op, timeoutMs ?? 0));
  const deadline = timeoutMs === undefined ? undefined : setTimeout(onDeadline, timeoutMs);
  const connection = new Connection(host, port);
  try {
    connection.socket.write(encodeFrame(FrameKind.request, encoded));
    if (options.stdin !== undefined) {
      sendInput(connection.socket, options.stdin).catch((error: unknown) => stop.abort(error));
    }
    yield* framesUntilEnd(connection, stop.signal);
  } catch (error) {
    if (error instanceof AgentProtocolError || (stop.signal.aborted && error === stop.signal.reason))
      throw error;
    throw unreachable(connection, options, error);
  } finally {
    clearTimeout(deadline);
    signal?.removeEventListener('abort', onAbort);
    connection.hangUp();
  }
}

async function* framesUntilEnd(
  connection: Connection,
  signal: AbortSignal,
): AsyncGenerator<Frame, void, undefined> {
  const decoder = new FrameDecoder();
  for (;;) {
    const chunk = await connection.read(signal);
    if (chunk === undefined) throw new Error('the connection was closed');
    for (const frame of decoder.push(chunk)) {
      yield frame;
      if (frame.kind === FrameKind.end) return;
    }
  }
}

function unreachable(
  connection: Connection,
  { host, port, request }: ExchangeOptions,
  cause: unknown,
): AgentUnreachable {
  const problem = cause instanceof Error ? cause.message : String(cause);
  const what = `No answer to ${request.op} from the guest agent at ${host}:${port}: ${problem}`;
  return new AgentUnreachable(what, { sent: connection.connected, cause });
}

/** The caller's input iterator threw; `cause` is what it threw. */
export class InputFailed extends Error {
  override readonly name = 'InputFailed';
}

/** Sends input as it comes and as the guest takes it, then its end. Stops silently with the connection. */
async function sendInput(socket: Socket, input: Input): Promise<void> {
  try {
    for await (const piece of pieces(input)) {
      if (socket.destroyed) return;
      if (!socket.write(encodeFrame(FrameKind.stdin, piece))) await drained(socket);
    }
  } catch (cause) {
    throw new InputFailed('Cannot read the input for the guest', { cause });
  }
  if (!socket.destroyed) socket.write(encodeFrame(FrameKind.stdin, new Uint8Array()));
}

async function* pieces(input: Input): AsyncGenerator<Uint8Array, void, undefined> {
  const whole =
    typeof input === 'string' ? [Buffer.from(input)] : input instanceof Uint8Array ? [input] : input;
  for await (const bytes of whole) {
    for (let at = 0; at < bytes.length; at += STDIN_CHUNK_BYTES)
      yield bytes.subarray(at, at + STDIN_CHUNK_BYTES);
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}
