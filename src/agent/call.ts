/**
 * One operation over one channel: request out, frames in, until the END frame.
 *
 *   waiting for a slot ──▶ streaming ──▶ ended
 *        └────────────────────┴──────▶ failed (refused, closed early, malformed, deadline, aborted)
 *
 * However the iteration ends, also by `break` or an abort, the channel is closed, and that cancels the
 * operation in the guest. QEMU's user network accepts a connection also when nobody listens in the guest and
 * closes it then, so a channel that ends before the first byte is no more than "not there yet".
 *
 * An agent closes connections beyond its 200, and queues on the way there are finite. So each guest gets a
 * bounded number of programs and evaluations at a time, and who comes later waits here, where nothing is lost.
 * Short questions do not wait behind programs that may run for hours: the agent has room for them besides.
 */
import type { z } from 'zod';
import { abortReason, messageOf } from '../base/index.js';
import { readAnswer } from './answers.js';
import type { Channel } from './channel.js';
import type { Channels } from './channels.js';
import { addressText, type ChannelAddress } from './connection.js';
import { AgentDeadline, AgentProtocolError, AgentRefused, AgentUnreachable } from './errors.js';
import { FrameKind, MAX_REQUEST_BYTES, type Frame } from './frames.js';
import { sendFrames, sendInput, type Input } from './input.js';
import type { Slots } from './slots.js';
import { toWire } from './wire.js';

/** The agent of one guest, and who we are to it. */
export interface Endpoint {
  readonly address: ChannelAddress;
  readonly secret: string | undefined;
  readonly slots: Slots;
  /** Of calls that are open for as long as somebody listens. */
  readonly streams: Slots;
  readonly channels: Channels;
}

/** Default for every call that is not a program's. */
export const DEFAULT_TIMEOUT_MS = 30_000;

/** How much longer than the guest's own deadline this side waits for its answer. */
const ANSWER_GRACE_MS = 5_000;

/** `timeoutMs` is for the whole call; `signal` gives up on it, which cancels the operation in the guest. */
export interface CallOptions {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is asked. Fields in our own names and units; `timeoutMs` among them is the guest's to keep. */
export interface Operation {
  readonly op: string;
  readonly fields: Readonly<Record<string, unknown>> & { readonly timeoutMs?: number | undefined };
  /** Input that is there already, at most a frame's: it is sent along with the request. */
  readonly first?: Uint8Array | null;
  /** Standard input, behind that; absent means that the operation reads none. */
  readonly input?: Input | undefined;
  /** Frames for the guest, for an operation that takes more than input. */
  readonly frames?: AsyncIterable<Frame<Uint8Array>> | undefined;
  /** A question that is answered at once: it waits for no slot. */
  readonly isShort?: boolean;
  /** Open for as long as somebody listens: there may be many, and they do not keep programs waiting. */
  readonly isStream?: boolean;
}

/**
 * Yields every frame up to and including END. Throws AgentUnreachable, AgentProtocolError, AgentDeadline or
 * the signal's reason.
 */
export async function* framesOf(
  endpoint: Endpoint,
  operation: Operation,
  options: CallOptions,
): AsyncGenerator<Frame, void, undefined> {
  const { op, first, input, frames } = operation;
  options.signal?.throwIfAborted();
  const payload = encodeRequest(endpoint, operation);
  const stop = stopOf(operation, options);
  let giveBack: (() => void) | undefined;
  let channel: Channel | undefined;
  let isAnswered = false;
  try {
    const slots = operation.isStream === true ? endpoint.streams : endpoint.slots;
    if (operation.isShort !== true) giveBack = await slots.take(stop.signal);
    stop.begun();
    channel = endpoint.channels.take({ isStream: operation.isStream === true });
    const request = { kind: FrameKind.request, payload };
    void channel.send(request, ...(first == null ? [] : [{ kind: FrameKind.stdin, payload: first }]));
    if (input !== undefined) sendInput(channel, input).catch((error: unknown) => stop.abort(error));
    if (frames !== undefined) sendFrames(channel, frames).catch((error: unknown) => stop.abort(error));
    for await (const frame of channel.frames(stop.signal)) {
      if (frame.kind === FrameKind.end || (operation.isStream === true && !isAnswered))
        endpoint.channels.expectMore();
      isAnswered = true;
      yield frame;
      if (frame.kind === FrameKind.end) return;
    }
    throw new Error('the connection was closed');
  } catch (error) {
    if (channel === undefined && error instanceof AgentDeadline) throw tooManyCalls(op);
    if (error instanceof AgentProtocolError || (stop.signal.aborted && error === stop.signal.reason))
      throw error;
    throw unreachable(endpoint, op, { sent: channel?.wasConnected ?? false, cause: error });
  } finally {
    stop.release();
    channel?.close();
    giveBack?.();
  }
}

/** Asks what is answered in one frame, and reads the answer. */
export async function ask<T>(
  endpoint: Endpoint,
  operation: Operation,
  schema: z.ZodType<T>,
  options: CallOptions,
): Promise<T> {
  const { op, fields } = operation;
  for await (const { kind, payload } of framesOf(endpoint, operation, options)) {
    if (kind !== FrameKind.end) throw new AgentProtocolError(`The guest answered ${op} with output`);
    return readAnswer(schema, payload, { operation: op, timeoutMs: fields.timeoutMs ?? options.timeoutMs });
  }
  throw new AgentProtocolError(`The guest did not answer ${op}`);
}

function encodeRequest({ secret }: Endpoint, { op, fields }: Operation): Buffer {
  const encoded = Buffer.from(JSON.stringify({ op, secret, ...toWire(fields) }));
  if (encoded.length <= MAX_REQUEST_BYTES) return encoded;
  throw new TypeError(`A request to the guest has at most ${MAX_REQUEST_BYTES} bytes, not ${encoded.length}`);
}

interface Stop {
  readonly signal: AbortSignal;
  readonly abort: (reason: unknown) => void;
  /** The guest is asked from now on: a deadline that it keeps begins here, whatever the wait for a slot. */
  readonly begun: () => void;
  readonly release: () => void;
}

/**
 * Whatever ends a call early: its caller, its deadline, its input. A guest that keeps the deadline itself
 * gets longer to say so.
 */
function stopOf({ op, fields }: Operation, { signal, timeoutMs }: CallOptions): Stop {
  const controller = new AbortController();
  const abort = (reason: unknown): void => controller.abort(reason);
  const onAbort = (): void => abort(signal === undefined ? undefined : abortReason(signal));
  signal?.addEventListener('abort', onAbort, { once: true });
  const limitMs = fields.timeoutMs === undefined ? timeoutMs : fields.timeoutMs + ANSWER_GRACE_MS;
  const onDeadline = (): void => abort(new AgentDeadline(op, fields.timeoutMs ?? timeoutMs ?? 0));
  const deadline = limitMs === undefined ? undefined : setTimeout(onDeadline, limitMs);
  const release = (): void => {
    clearTimeout(deadline);
    signal?.removeEventListener('abort', onAbort);
  };
  const begun = (): void => {
    if (fields.timeoutMs !== undefined) deadline?.refresh();
  };
  return { signal: controller.signal, abort, begun, release };
}

function tooManyCalls(op: string): AgentRefused {
  return new AgentRefused(op, 'busy', 'too many calls to it were under way for all of the time');
}

function unreachable(
  { address }: Endpoint,
  op: string,
  reason: { readonly sent: boolean; readonly cause: unknown },
): AgentUnreachable {
  const what = `No answer to ${op} from the guest agent at ${addressText(address)}: ${messageOf(reason.cause)}`;
  return new AgentUnreachable(what, reason);
}
