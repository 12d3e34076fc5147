/**
 * freeze: the guest's programs stand still for as long as they are held here. A copy of the guest that is made meanwhile hears nothing of
 * this end, and its programs stand still until it is identified.
 */
import { z } from 'zod';
import { compact, monotonicMs } from '../../base/index.js';
import { readAnswer } from '../answers.js';
import { DEFAULT_TIMEOUT_MS, framesOf, type CallOptions, type Endpoint } from '../call.js';
import { AgentDeadline, AgentProtocolError, AgentRefused } from '../errors.js';
import { FrameKind, parseObject, type Frame } from '../frames.js';

export interface FreezeOptions extends CallOptions {
  /** Also write file systems, or each copy will; it waits for that. An agent that is too old takes no notice. */
  readonly sync?: boolean | undefined;
}

/** Programs that stand still. */
export interface HeldPrograms {
  /**
   * Throws AgentRefused when they have gone on by themselves, or would in a copy that was made at `atMs` (monotonicMs) before it is
   * identified: they are held for a minute of the guest's time, and a child that is not identified within half of that is not used.
   */
  requireHeld(atMs: number): void;
  /** Lets them go on. Idempotent; never rejects. */
  release(): Promise<void>;
}

const nothing = z.object({});

/** The other half, less what the guest's clock and ours may differ by. */
const LONGEST_BEFORE_COPY_MS = 25_000;

/**
 * Resolves when all stand still. Throws AgentRefused: `not_frozen` where one does not, `unknown_op` for an agent that is too old.
 * `timeoutMs` is for that; nothing ends the hold but `release()`, the end of this process, and a minute.
 */
export async function freeze(
  endpoint: Endpoint,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal, sync }: FreezeOptions,
): Promise<HeldPrograms> {
  const over = new AbortController();
  const until = signal === undefined ? over.signal : AbortSignal.any([over.signal, signal]);
  const frames = framesOf(
    endpoint,
    { op: 'freeze', fields: compact({ sync }), isShort: true },
    { signal: until },
  );
  const timer = setTimeout(() => over.abort(new AgentDeadline('freeze', timeoutMs)), timeoutMs);
  try {
    checkFrozen(await frames.next());
  } catch (error) {
    await frames.return();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return hold(frames, () => over.abort());
}

function hold(frames: AsyncGenerator<Frame, void, undefined>, hangUp: () => void): HeldPrograms {
  const sinceMs = monotonicMs();
  let isHeld = true;
  const ended = frames
    .next()
    .catch(() => undefined)
    .then(() => {
      isHeld = false;
    });
  return {
    requireHeld: (atMs) => {
      if (!isHeld || atMs - sinceMs > LONGEST_BEFORE_COPY_MS)
        throw new AgentRefused('freeze', 'not_frozen', 'the programs went on before they should');
    },
    release: () => {
      hangUp();
      return ended;
    },
  };
}

function checkFrozen({ done, value }: IteratorResult<Frame, void>): void {
  if (done === true) throw new AgentProtocolError('The guest did not answer freeze');
  if (value.kind === FrameKind.end)
    readAnswer(nothing, value.payload, { operation: 'freeze', timeoutMs: undefined });
  if (value.kind !== FrameKind.event || parseObject(value.payload)['frozen'] !== true)
    throw new AgentProtocolError('The guest answered freeze with something else');
}
