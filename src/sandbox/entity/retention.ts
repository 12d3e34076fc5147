/**
 * How long snapshots stay: what a request says becomes a fact of the snapshot, and when it has expired.
 *
 * Only the wall clock outlives a reboot, and it may be wrong, above all right after one. So an expiry counts only when two clocks
 * agree: the wall clock says so now, and as much monotonic time has gone by as was left when this daemon first saw the snapshot.
 * What the daemon finds expired when it starts stays for a few minutes more, in which a clock is usually put right.
 */
import { type Clock, compact, hostClock } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import type { Checkpoint, Retention, SnapshotView, Thinning } from '../../store/index.js';
import { CLOCK_GRACE_MS } from './lifetime.js';

/** How long a snapshot is to stay, as it is asked for; at most one of the two expiries. */
export interface RetentionSpec {
  /** From now. */
  readonly expiresInMs?: number | undefined;
  readonly expiresAtUnix?: number | undefined;
  /** Of the source's snapshots made with it, the newest so many stay. */
  readonly keepLast?: number | undefined;
  /** Makes it a point on the timeline of its source. */
  readonly checkpoint?: { readonly thinning?: Thinning | undefined } | undefined;
}

/**
 * The facts that are asked for; undefined if none. `ordinal` numbers the branches of one source. Throws `invalid_request` for an
 * expiry that has passed.
 */
export function retentionOf(
  { expiresInMs, expiresAtUnix: atUnix, keepLast, checkpoint }: RetentionSpec = {},
  ordinal?: number,
  clock: Clock = hostClock,
): Retention | undefined {
  const nowMs = clock.unixMs();
  if (atUnix !== undefined && atUnix * 1000 <= nowMs) {
    throw new BoughError('invalid_request', { field: 'expiresAtUnix', problem: 'has passed' });
  }
  const expiresAtUnix = expiresInMs === undefined ? atUnix : Math.ceil((nowMs + expiresInMs) / 1000);
  const isCounted = keepLast !== undefined || checkpoint !== undefined;
  if (expiresAtUnix === undefined && !isCounted) return undefined;
  return compact({
    expiresAtUnix,
    keepLast,
    ordinal: isCounted ? ordinal : undefined,
    checkpoint: checkpoint && checkpointAt(clock, checkpoint.thinning),
  });
}

function checkpointAt(clock: Clock, thinning: Thinning | undefined): Retention['checkpoint'] {
  const { bootId } = clock;
  const [atUnixMs, atBootMs] = [clock.unixMs(), clock.bootMs()].map(Math.round) as [number, number];
  return { atUnixMs, atBootMs, bootId, ...compact({ thinning }) };
}

/** How long ago a checkpoint was taken: a step of the wall clock since makes it neither older nor younger, as long as the host runs. */
export function checkpointAgeMs(
  { atUnixMs, atBootMs, bootId }: Checkpoint,
  clock: Clock = hostClock,
): number {
  const ageMs = bootId === clock.bootId ? clock.bootMs() - atBootMs : clock.unixMs() - atUnixMs;
  return Math.max(0, ageMs);
}

/** `expired`, or until when (in ms from now) a snapshot whose time is over by one clock stays because of the other. */
export type ExpiryState = 'never' | 'later' | 'expired' | { readonly heldMs: number };

/** What this daemon remembers of snapshots that expire. */
export class SnapshotExpiry {
  readonly #clock: Clock;
  readonly #dueMs = new Map<string, number>();

  constructor(clock: Clock = hostClock) {
    this.#clock = clock;
  }

  /** Takes note of what the daemon found when it started. */
  begin(found: readonly SnapshotView[]): void {
    for (const view of found) this.#note(view, CLOCK_GRACE_MS);
  }

  /** Forgets all snapshots but these. */
  keepOnly(views: readonly SnapshotView[]): void {
    const ids = new Set(views.map(({ id }) => id));
    for (const id of this.#dueMs.keys()) if (!ids.has(id)) this.#dueMs.delete(id);
  }

  stateOf(view: SnapshotView): ExpiryState {
    const dueMs = this.#note(view, 0);
    const atUnix = view.retention?.expiresAtUnix;
    if (dueMs === undefined || atUnix === undefined) return 'never';
    const leftMs = dueMs - this.#clock.bootMs();
    if (this.#clock.unixMs() < atUnix * 1000) return 'later';
    return leftMs <= 0 ? 'expired' : { heldMs: leftMs };
  }

  #note({ id, retention }: SnapshotView, graceMs: number): number | undefined {
    if (retention?.expiresAtUnix === undefined) return undefined;
    const known = this.#dueMs.get(id);
    if (known !== undefined) return known;
    const leftMs = retention.expiresAtUnix * 1000 - this.#clock.unixMs();
    const dueMs = this.#clock.bootMs() + Math.max(leftMs, graceMs);
    this.#dueMs.set(id, dueMs);
    return dueMs;
  }
}
