/**
 * When a sandbox ends: at a moment, after so long without use, or never.
 *
 * The terms are facts of the sandbox's record; what is added here is the clock. An end that was asked for in wall clock time is
 * noted together with its moment on the monotonic clock, and the latter alone decides: whoever steps the host's wall clock ends no
 * sandbox. The two are told apart by boot, since a sandbox that died with the host is still listed afterwards.
 *
 * Being used puts off an idle end and nothing else. A daemon that starts counts as a use: while there was none, nobody could have.
 */
import { z } from 'zod';
import { type Clock, compact, hostClock } from '../../base/index.js';
import { BoughError, type LifetimeRequest, type TimeoutRequest, type Sandbox } from '../../contract/index.js';

/** How long a wall clock that was read after a reboot may be wrong before anything is ended by it. */
export const CLOCK_GRACE_MS = 300_000;
/** How far a shown end may be from the one asked for before it is shown to have moved. */
const SHOWN_DRIFT_SECS = 2;

export const lifetimeTermsSchema = z.object({
  end: z.object({ atUnix: z.number(), atBootMs: z.number(), bootId: z.string() }).optional(),
  idleTimeoutSecs: z.number().optional(),
  onEnd: z.enum(['kill', 'snapshot']),
  onEndTag: z.string().optional(),
});
/** When and how a sandbox ends, as its record has it. */
export type LifetimeTerms = z.infer<typeof lifetimeTermsSchema>;

/** The terms a request asks for; undefined if none. Throws `invalid_request` for an end that has passed. */
export function termsOf(request: LifetimeRequest, clock: Clock = hostClock): LifetimeTerms | undefined {
  const { idle_timeout_secs: idle, on_end: onEnd, on_end_tag: onEndTag } = request;
  const end = endOf(request, clock);
  if (end === undefined && idle === undefined && onEnd === undefined && onEndTag === undefined)
    return undefined;
  return { onEnd: onEnd ?? 'kill', ...compact({ end, idleTimeoutSecs: idle, onEndTag }) };
}

/** `terms` with the changes of a request. Throws `invalid_request` for an end that has passed. */
export function changedTerms(
  terms: LifetimeTerms | undefined,
  request: TimeoutRequest,
  clock: Clock = hostClock,
): LifetimeTerms {
  const asked = endOf(request, clock);
  const idle = request.idle_timeout_secs;
  const { extend_only: extends_ } = request;
  const keepEnd =
    asked === undefined ||
    (extends_ && (terms?.end === undefined || endMs(terms.end, clock) >= asked.atBootMs));
  const keepIdle =
    idle === undefined ||
    (extends_ && idle !== 0 && (terms?.idleTimeoutSecs === undefined || terms.idleTimeoutSecs >= idle));
  return {
    onEnd: request.on_end ?? terms?.onEnd ?? 'kill',
    ...compact({
      end: request.never === true ? undefined : keepEnd ? terms?.end : asked,
      idleTimeoutSecs: keepIdle ? terms?.idleTimeoutSecs : idle === 0 ? undefined : idle,
      onEndTag: request.on_end_tag ?? terms?.onEndTag,
    }),
  };
}

/** The clock that runs for one sandbox, from when this daemon has it. */
export class Lifetime {
  /** Why it is still there although its end has come. */
  warning: string | undefined;
  readonly #terms: () => LifetimeTerms | undefined;
  readonly #clock: Clock;
  /** The moment of an end that was noted in an earlier boot, by the wall clock as it was found. */
  readonly #earlierEndMs: number;
  #lastUsedUnix: number;
  #idleSinceMs: number;
  #uses = 0;
  #notedUsedUnix: number;

  /** `terms` are read whenever they are needed: the record is their only place. */
  constructor(terms: () => LifetimeTerms | undefined, lastUsedAtUnix: number, clock: Clock = hostClock) {
    this.#terms = terms;
    this.#clock = clock;
    this.#idleSinceMs = clock.bootMs();
    const leftMs = (terms()?.end?.atUnix ?? 0) * 1000 - clock.unixMs();
    this.#earlierEndMs = this.#idleSinceMs + Math.max(leftMs, CLOCK_GRACE_MS);
    this.#lastUsedUnix = this.#notedUsedUnix = lastUsedAtUnix;
  }

  /** Does `work`; the sandbox is in use for as long as that takes. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#uses += 1;
    this.#touch();
    try {
      return await work();
    } finally {
      this.#uses -= 1;
      this.#touch();
    }
  }

  #touch(): void {
    this.#idleSinceMs = this.#clock.bootMs();
    this.#lastUsedUnix = Math.floor(this.#clock.unixMs() / 1000);
  }

  /** Why its end has come, as a clause; undefined while it has not. */
  due(): string | undefined {
    const { end, idleTimeoutSecs } = this.#terms() ?? {};
    const nowMs = this.#clock.bootMs();
    if (end !== undefined && nowMs >= this.#endMs(end)) return 'its time is over';
    if (idleTimeoutSecs === undefined || this.#uses > 0) return undefined;
    return nowMs - this.#idleSinceMs >= idleTimeoutSecs * 1000
      ? `nobody used it for ${idleTimeoutSecs} s`
      : undefined;
  }

  #endMs(end: NonNullable<LifetimeTerms['end']>): number {
    return end.bootId === this.#clock.bootId ? end.atBootMs : this.#earlierEndMs;
  }

  /** The last use, if it has not been asked for since; for the record. */
  unnotedUse(): number | undefined {
    if (this.#lastUsedUnix === this.#notedUsedUnix) return undefined;
    return (this.#notedUsedUnix = this.#lastUsedUnix);
  }

  /** As the API shows it. */
  view(): Partial<Sandbox> {
    const terms = this.#terms();
    const shown =
      terms &&
      compact({
        end_at_unix: terms.end && this.#shownEnd(terms.end),
        idle_timeout_secs: terms.idleTimeoutSecs,
        on_end: terms.onEnd,
        on_end_tag: terms.onEndTag,
      });
    return { ...shown, last_used_at_unix: this.#lastUsedUnix, ...compact({ warning: this.warning }) };
  }

  /** The end in the wall clock's present time: after a step of that clock it is another than was asked for. */
  #shownEnd(end: NonNullable<LifetimeTerms['end']>): number {
    const leftMs = this.#endMs(end) - this.#clock.bootMs();
    const atUnix = Math.round((this.#clock.unixMs() + leftMs) / 1000);
    return Math.abs(atUnix - end.atUnix) <= SHOWN_DRIFT_SECS ? end.atUnix : atUnix;
  }
}

function endOf(
  { timeout_secs: secs, end_at_unix: atUnix }: LifetimeRequest,
  clock: Clock,
): LifetimeTerms['end'] {
  const { bootId } = clock;
  const [unixMs, bootMs] = [clock.unixMs(), clock.bootMs()];
  if (secs !== undefined) {
    return { atUnix: Math.round(unixMs / 1000 + secs), atBootMs: bootMs + secs * 1000, bootId };
  }
  if (atUnix === undefined) return undefined;
  const leftMs = atUnix * 1000 - unixMs;
  if (leftMs <= 0) throw new BoughError('invalid_request', { field: 'end_at_unix', problem: 'has passed' });
  return { atUnix, atBootMs: bootMs + leftMs, bootId };
}

/** An end on this boot's clock, for comparing two of them. */
function endMs(end: NonNullable<LifetimeTerms['end']>, clock: Clock): number {
  if (end.bootId === clock.bootId) return end.atBootMs;
  return clock.bootMs() + end.atUnix * 1000 - clock.unixMs();
}
