/**
 * When a sandbox ends: at a moment, after so long without use, or never.
 *
 * The terms are facts of the sandbox's record; what is added here is the clock. An end that was asked for in wall clock time is
 * noted together with its moment on the monotonic clock, and the latter alone decides: whoever steps the host's wall clock ends no
 * sandbox. The two are told apart by boot, since a sandbox that died with the host is still listed afterwards.
 *
 * Being used puts off an idle end and nothing else; being paused is as being used, since whoever paused it wants it back. A daemon that starts counts as a use: while there was none, nobody could have.
 */
import { z } from 'zod';
import { type Clock, compact, hostClock } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';

/** How long a wall clock that was read after a reboot may be wrong before anything is ended by it. */
export const CLOCK_GRACE_MS = 300_000;
/** How far a shown end may be from the one asked for before it is shown to have moved. */
const SHOWN_DRIFT_SECS = 2;

export const lifetimeSchema = z.object({
  end: z.object({ atUnix: z.number(), atBootMs: z.number(), bootId: z.string() }).optional(),
  idleTimeoutSecs: z.number().optional(),
  onEnd: z.enum(['kill', 'snapshot']),
  onEndTag: z.string().optional(),
});
/** When and how a sandbox ends, as its record has it. */
export type Lifetime = z.infer<typeof lifetimeSchema>;

/** When and how a sandbox is to end, as it is asked for; at most one of the two ends. */
export interface LifetimeSpec {
  /** From now. */
  readonly endInMs?: number | undefined;
  readonly endAtUnix?: number | undefined;
  /** Ends it after so long without use. */
  readonly idleTimeoutMs?: number | undefined;
  /** Default: removed without a last snapshot. */
  readonly onEnd?: Lifetime['onEnd'] | undefined;
  /** Name of its last snapshot; made up when absent. */
  readonly onEndTag?: string | undefined;
}

/** What is not given stays as it is. An idle timeout of 0 is none. */
export interface LifetimeChange extends LifetimeSpec {
  /** It has no end any more, apart from an idle one. */
  readonly never?: boolean | undefined;
  /** Keep the present end if that is later; what has no end gets none. */
  readonly extendOnly?: boolean | undefined;
}

/** The terms that are asked for; undefined if none. Throws `invalid_request` for an end that has passed. */
export function lifetimeOf(spec: LifetimeSpec, clock: Clock = hostClock): Lifetime | undefined {
  const { idleTimeoutMs, onEnd, onEndTag } = spec;
  const end = endOf(spec, clock);
  if (end === undefined && idleTimeoutMs === undefined && onEnd === undefined && onEndTag === undefined)
    return undefined;
  return { onEnd: onEnd ?? 'kill', ...compact({ end, idleTimeoutSecs: toSecs(idleTimeoutMs), onEndTag }) };
}

const toSecs = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1000);

/** `terms` with the changes. Throws `invalid_request` for an end that has passed. */
export function changedLifetime(
  terms: Lifetime | undefined,
  change: LifetimeChange,
  clock: Clock = hostClock,
): Lifetime {
  const asked = endOf(change, clock);
  const idle = toSecs(change.idleTimeoutMs);
  const extends_ = change.extendOnly === true;
  const keepEnd =
    asked === undefined ||
    (extends_ && (terms?.end === undefined || endMs(terms.end, clock) >= asked.atBootMs));
  const keepIdle =
    idle === undefined ||
    (extends_ && idle !== 0 && (terms?.idleTimeoutSecs === undefined || terms.idleTimeoutSecs >= idle));
  return {
    onEnd: change.onEnd ?? terms?.onEnd ?? 'kill',
    ...compact({
      end: change.never === true ? undefined : keepEnd ? terms?.end : asked,
      idleTimeoutSecs: keepIdle ? terms?.idleTimeoutSecs : idle === 0 ? undefined : idle,
      onEndTag: change.onEndTag ?? terms?.onEndTag,
    }),
  };
}

/** When and how it ends, in the wall clock's present time. */
export interface LifetimeView {
  readonly endAtUnix?: number;
  readonly idleTimeoutMs?: number;
  /** There whenever it has an end. */
  readonly onEnd?: Lifetime['onEnd'];
  readonly onEndTag?: string;
  readonly lastUsedAtUnix: number;
  /** Why it still runs although its end has come, or why it stands still. */
  readonly warning?: string;
}

/** The clock that runs for one sandbox, from when this daemon has it. */
export class LifetimeClock {
  /** Why it is still there although its end has come. */
  warning: string | undefined;
  readonly #terms: () => Lifetime | undefined;
  readonly #clock: Clock;
  /** The moment of an end that was noted in an earlier boot, by the wall clock as it was found. */
  readonly #earlierEndMs: number;
  #lastUsedUnix: number;
  #idleSinceMs: number;
  #uses = 0;
  #notedUsedUnix: number;

  /** `terms` are read whenever they are needed: the record is their only place. */
  constructor(terms: () => Lifetime | undefined, lastUsedAtUnix: number, clock: Clock = hostClock) {
    this.#terms = terms;
    this.#clock = clock;
    this.#idleSinceMs = clock.bootMs();
    const leftMs = (terms()?.end?.atUnix ?? 0) * 1000 - clock.unixMs();
    this.#earlierEndMs = this.#idleSinceMs + Math.max(leftMs, CLOCK_GRACE_MS);
    this.#lastUsedUnix = this.#notedUsedUnix = lastUsedAtUnix;
  }

  /** Does `work`; the sandbox is in use for as long as that takes. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const end = this.beginUse();
    try {
      return await work();
    } finally {
      end();
    }
  }

  /** The sandbox is in use until what is returned is called, once. */
  beginUse(): () => void {
    this.#uses += 1;
    this.#touch();
    return () => {
      this.#uses -= 1;
      this.#touch();
    };
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

  #endMs(end: NonNullable<Lifetime['end']>): number {
    return end.bootId === this.#clock.bootId ? end.atBootMs : this.#earlierEndMs;
  }

  /** The last use, if it has not been asked for since; for the record. */
  unnotedUse(): number | undefined {
    if (this.#lastUsedUnix === this.#notedUsedUnix) return undefined;
    return (this.#notedUsedUnix = this.#lastUsedUnix);
  }

  view(): LifetimeView {
    const terms = this.#terms();
    const shown =
      terms &&
      compact({
        endAtUnix: terms.end && this.#shownEnd(terms.end),
        idleTimeoutMs: terms.idleTimeoutSecs === undefined ? undefined : terms.idleTimeoutSecs * 1000,
        onEnd: terms.onEnd,
        onEndTag: terms.onEndTag,
      });
    return { ...shown, lastUsedAtUnix: this.#lastUsedUnix, ...compact({ warning: this.warning }) };
  }

  /** The end in the wall clock's present time: after a step of that clock it is another than was asked for. */
  #shownEnd(end: NonNullable<Lifetime['end']>): number {
    const leftMs = this.#endMs(end) - this.#clock.bootMs();
    const atUnix = Math.round((this.#clock.unixMs() + leftMs) / 1000);
    return Math.abs(atUnix - end.atUnix) <= SHOWN_DRIFT_SECS ? end.atUnix : atUnix;
  }
}

function endOf({ endInMs, endAtUnix: atUnix }: LifetimeSpec, clock: Clock): Lifetime['end'] {
  const { bootId } = clock;
  const [unixMs, bootMs] = [clock.unixMs(), clock.bootMs()];
  if (endInMs !== undefined) {
    return { atUnix: Math.round((unixMs + endInMs) / 1000), atBootMs: bootMs + endInMs, bootId };
  }
  if (atUnix === undefined) return undefined;
  const leftMs = atUnix * 1000 - unixMs;
  if (leftMs <= 0) throw new BoughError('invalid_request', { field: 'endAtUnix', problem: 'has passed' });
  return { atUnix, atBootMs: bootMs + leftMs, bootId };
}

/** An end on this boot's clock, for comparing two of them. */
function endMs(end: NonNullable<Lifetime['end']>, clock: Clock): number {
  if (end.bootId === clock.bootId) return end.atBootMs;
  return clock.bootMs() + end.atUnix * 1000 - clock.unixMs();
}
