/**
 * dial: a TCP port of the guest as a stream of this process, both ways at once.
 *
 * Each direction ends for itself, as in TCP: `end()` is told to the guest's program, and its end is the end of what is read here. Neither is
 * read faster than the other side takes it. Whoever destroys the stream before both have ended resets the guest's connection, and may lose
 * what was on its way.
 */
import { Duplex, PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { abortReason, Deferred } from '../../base/index.js';
import { readAnswer } from '../answers.js';
import { DEFAULT_TIMEOUT_MS, framesOf, type CallOptions, type Endpoint } from '../call.js';
import { AgentDeadline, AgentProtocolError } from '../errors.js';
import { FrameKind, parseObject, type Frame } from '../frames.js';
import { CHUNK_BYTES } from '../input.js';

type Frames = AsyncGenerator<Frame, void, undefined>;

const nothing = z.object({});

/** A stream that may be written to before there is a connection: what is written meanwhile is sent behind the request. */
export interface PortConnection extends Duplex {
  /** Rejects with AgentRefused `not_connected` when nothing listens on the port, and then the stream breaks with that. */
  readonly connected: Promise<void>;
}

/** Begins to connect. `timeoutMs` is for that; `signal` is for as long as the stream is open, and breaks it with its reason. */
export function dial(
  endpoint: Endpoint,
  port: number,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): PortConnection {
  const [upward, over] = [new PassThrough(), new AbortController()];
  const frames = framesOfDial(endpoint, { port, upward }, over.signal);
  const timer = setTimeout(() => over.abort(new AgentDeadline('dial', timeoutMs)), timeoutMs);
  const connected = frames
    .next()
    .then(checkConnected)
    .finally(() => clearTimeout(timer));
  const stream = new DialledStream({ upward, frames, connected, hangUp: (error) => over.abort(error) });
  if (signal !== undefined) breakWith(signal, stream);
  return stream;
}

/** Its reason as it is: addAbortSignal would make an AbortError of it. */
function breakWith(signal: AbortSignal, stream: Duplex): void {
  const onAbort = (): void => void stream.destroy(abortReason(signal));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', onAbort));
}

/** What is written before the next turn of the event loop, a request of HTTP for one, wakes the guest once and not twice. */
async function* framesOfDial(
  endpoint: Endpoint,
  { port, upward }: { readonly port: number; readonly upward: PassThrough },
  signal: AbortSignal,
): Frames {
  await nextTurn();
  const first = upward.read(Math.min(upward.readableLength, CHUNK_BYTES)) as Buffer | null;
  const operation = { op: 'dial', fields: { port }, first, input: upward, isStream: true };
  yield* framesOf(endpoint, operation, { signal });
}

function checkConnected({ done, value }: IteratorResult<Frame, void>): void {
  if (done === true) throw new AgentProtocolError('The guest did not answer dial');
  if (value.kind === FrameKind.end) checkEnd(value);
  if (value.kind !== FrameKind.event || parseObject(value.payload)['connected'] !== true)
    throw new AgentProtocolError('The guest answered dial with something else');
}

/** Throws what went wrong, if anything did. */
function checkEnd({ payload }: Frame): void {
  readAnswer(nothing, payload, { operation: 'dial', timeoutMs: undefined });
}

interface Dialled {
  readonly upward: PassThrough;
  readonly frames: Frames;
  readonly connected: Promise<void>;
  /** Gives up on the call, with what broke the stream. */
  readonly hangUp: (error: Error | undefined) => void;
}

class DialledStream extends Duplex implements PortConnection {
  readonly connected: Promise<void>;
  readonly #upward: PassThrough;
  readonly #frames: Frames;
  readonly #hangUp: Dialled['hangUp'];
  /** The guest has said that both directions ended: until then what was written may be on its way. */
  readonly #over = new Deferred<undefined>();

  constructor({ upward, frames, connected, hangUp }: Dialled) {
    super({ allowHalfOpen: true });
    this.connected = connected;
    this.#upward = upward;
    this.#frames = frames;
    this.#hangUp = hangUp;
    // What becomes of the call is told by its frames.
    upward.on('error', () => undefined);
    // Whoever uses the stream is told; one that breaks before anybody does is no reason to end the process.
    this.on('error', () => undefined);
    connected.catch((error: unknown) => this.destroy(error as Error));
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    if (this.#upward.write(chunk)) done();
    else this.#upward.once('drain', done);
  }

  override _final(done: () => void): void {
    this.#upward.end();
    void this.#over.promise.then(done);
  }

  override _read(): void {
    this.#readOne().catch((error: unknown) => this.destroy(error as Error));
  }

  async #readOne(): Promise<void> {
    await this.connected;
    const { kind, payload } = await this.#nextFrame();
    if (kind !== FrameKind.stdout) {
      if (kind === FrameKind.end) checkEnd({ kind, payload });
      throw new AgentProtocolError('The guest ended dial before its time');
    }
    if (payload.length > 0) {
      this.push(payload);
      return;
    }
    this.push(null);
    const last = await this.#nextFrame();
    if (last.kind !== FrameKind.end) throw new AgentProtocolError('The guest sent more than it said');
    checkEnd(last);
    await this.#frames.return();
    this.#over.resolve(undefined);
  }

  async #nextFrame(): Promise<Frame> {
    const { done, value } = await this.#frames.next();
    if (done !== true) return value;
    throw new AgentProtocolError('The guest did not end dial');
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#hangUp(error ?? undefined);
    this.#upward.destroy();
    this.#frames.return().catch(() => undefined);
    done(error);
  }
}
