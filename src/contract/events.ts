/**
 * The event table: everything that happens by itself or that others may want to know of, in one place.
 *
 * A row is `name -> level, summary, facts`. Who has something to tell emits it by name, so an unknown name or a missing fact does not
 * compile; log and metrics subscribe. The log shows an event as a line whose `msg` is the name, beside its facts.
 *
 * Not handled: delivery. An event that nobody subscribes to is gone; what has to be known later is in a record or a manifest.
 */

import type { RouteKind } from './v1/route.js';

export type EventLevel = 'info' | 'warn';

interface EventRow<F extends object> {
  readonly level: EventLevel;
  readonly summary: string;
  /** Only its type counts. */
  readonly facts?: F;
}

const info = <F extends object>(summary: string): EventRow<F> => ({ level: 'info', summary });
const warn = <F extends object>(summary: string): EventRow<F> => ({ level: 'warn', summary });

/** How a call ended: with an answer (of whatever status), because its client went away, the daemon stopped, or its token was taken back. */
export type CallOutcome = 'answered' | 'left' | 'stopped' | 'revoked';

/** Ids of sandboxes and tags of snapshots. */
export interface CallEffects {
  readonly made?: readonly string[];
  readonly removed?: readonly string[];
}

/** What the path of a call names. */
export interface CallSubject {
  readonly sandbox?: string;
  readonly snapshot?: string;
  readonly process?: string;
  readonly port?: string;
}

interface OfSandbox {
  readonly id: string;
}
interface OfSnapshot {
  readonly tag: string;
}
interface Failed {
  readonly err: unknown;
}
interface OfProcess {
  readonly pid: number;
}

export const eventTable = {
  'daemon.listening': info<{ address: string; token: boolean }>('The port is open'),
  'isolation.missing': warn<{ reason: string }>(
    'VMMs have less between them and this host than was wished for',
  ),
  'tokens.reloaded': info<{ tokens: number }>('The tokens file has changed, and holds from now on'),
  'tokens.not-reloaded': warn<Failed>('The tokens file cannot be used any more; what it said before holds'),
  'certificate.reloaded': info<{ validTo: string }>('The certificate has changed; new clients are shown it'),
  'certificate.not-reloaded': warn<Failed>(
    'The certificate and its key cannot be used as they are now; the earlier ones stay',
  ),
  'call.answered': info<{
    requestId: string;
    principal: string;
    method: string;
    route: string;
    kind: RouteKind | 'none';
    outcome: CallOutcome;
    status: number;
    durationMs: number;
    /** It has passed the door, and its route is one of those that change something. */
    mayChange: boolean;
    about: CallSubject & CallEffects;
  }>('A request has ended'),
  'audit.not-written': warn<Failed>('Calls are made that the audit log does not have'),
  'audit.written-again': info<{ lost: number }>('It has those that are made from now on'),
  'call.failed': info<{ code: string }>('A request was answered with an error of the catalogue'),

  'accelerator.chosen': info<{ accelerator: string; reason: string }>('What runs the guest that boots'),
  'sandbox.not-started': warn<OfSnapshot & Failed>('A child of a snapshot did not start'),
  'sandbox.guest-runs': info<OfSandbox & OfSnapshot & { warm: boolean; durationMs: number }>(
    'The guest of a child runs, in a VMM that stood ready or in one that was started for it; it is not its own yet',
  ),
  'sandbox.created': info<
    OfSandbox & { snapshotTag: string; parent: string | undefined; name: string | undefined }
  >('A sandbox is listed from now on, and runs'),
  'sandbox.adopted': info<OfSandbox & OfProcess>('The VM of an earlier daemon is ours'),
  'sandbox.answered': info<OfSandbox & { state: string }>('A VMM that was silent was asked again'),
  'sandbox.unresponsive': warn<OfSandbox & OfProcess & Failed>('A VMM lives and does not answer'),
  'sandbox.failed': warn<OfSandbox & { pid: number | undefined; reason: string }>(
    'A VM has ended by itself, perhaps while no daemon ran',
  ),
  'sandbox.record-unreadable': warn<OfSandbox & Failed & { kept: string }>('A record was put aside'),
  'sandbox.not-noted': warn<OfSandbox & Failed>('A record could not be written; the next write has it'),
  'sandbox.not-asked-again': warn<Failed>('Silent VMMs could not be asked'),
  'sandbox.stalled': warn<OfSandbox & { warning: string }>('A guest stands still for want of room'),
  'sandbox.paused': info<OfSandbox>('A guest stands still, as it was asked to'),
  'sandbox.resumed': info<OfSandbox>('A guest that was paused runs again'),
  'sandbox.rolled-back': info<
    OfSandbox &
      OfSnapshot & {
        /** Tag of the checkpoint that keeps the state of before. */
        kept: string | undefined;
        durationMs: number;
        requestId: string;
        principal: string;
      }
  >('A sandbox stands at a snapshot again, with another VM'),
  'sandbox.not-rolled-back': warn<OfSandbox & Failed & { tag: string | undefined }>(
    'A sandbox runs on as it was although it was to be rolled back',
  ),
  'sandbox.no-checkpoint': warn<OfSandbox & Failed & { retryMs: number }>(
    'A checkpoint that was due was not taken; it is tried again',
  ),
  'sandbox.removed': info<OfSandbox>('A sandbox was removed, as it was asked to'),
  'sandbox.ended': info<OfSandbox & { why: string; snapshot: string | undefined }>(
    'A sandbox was removed at its end',
  ),
  'sandbox.not-ended': warn<OfSandbox & Failed & { why: string; retryMs: number }>(
    'A sandbox runs on although its end has come',
  ),
  'sandbox.end-snapshot-left': warn<OfSandbox & OfSnapshot & Failed>(
    'A last snapshot that is of no use could not be removed',
  ),

  'sandbox.pause-window': info<
    OfSandbox & OfSnapshot & { pauseUs: number; readonly [part: string]: unknown }
  >('A source runs again after the pause of its branch, and where the pause went'),
  'sandbox.not-armed': warn<OfSandbox & OfSnapshot & { armError: unknown }>(
    'A residue that could not be armed was copied: exact, but the pause was longer than it need be',
  ),
  'sandbox.branched': info<
    OfSandbox &
      OfSnapshot & {
        mode: 'full' | 'diff' | 'live';
        /** Unknown of a branch whose source was captured by an earlier daemon. */
        pauseMs: number | undefined;
        /** Until the branch was as far as whoever asked wanted it. */
        durationMs: number;
        requestId: string;
        principal: string;
      }
  >('A branch is as far as it was asked for, by whoever asked'),
  'sandbox.clock-not-set': warn<OfSandbox & Failed>(
    'The clock of a source is behind by the pause of its branch',
  ),
  'egress.lost': warn<Failed & { sandboxes: number }>(
    'The process that connects sandboxes has ended; until it is back they reach nothing',
  ),
  'egress.restored': info<{ sandboxes: number }>('It runs again and knows the policies'),
  'egress.not-restored': warn<Failed>('It could not be started; it is tried again'),
  'branches.left': warn<Failed>('Branches did not end in time when the daemon stopped'),
  'sandbox.line-ended': warn<OfSandbox & Failed>(
    'The next live branch captures all that the guest has written, and not only what it wrote since the last',
  ),
  'sandbox.disk-not-folded': warn<OfSandbox & Failed>('A long chain of overlays stays long'),
  'sandbox.disk-not-corrected': warn<OfSandbox & Failed>('The overlays of a failed branch stay'),

  'vmm.not-warm': warn<Failed>('A VMM that was to stand ready is of no use; starts go on without it'),
  'vmm.orphan-killed': warn<{ name: string } & OfProcess>('A VMM that belongs to no sandbox was ended'),
  'vmm.orphan-left': warn<{ name: string } & OfProcess & Failed>('Such a VMM could not be ended'),
  'unfinished.removed': info<{ folder: string; names: readonly string[] }>('What a crash left half written'),

  'gc.removed': info<{ what: string; name: string; why: string; bytes: number }>('The collector removed it'),
  'gc.not-removed': warn<{ what: string; name: string } & Failed>('The collector could not remove it'),
  'gc.failed': warn<Failed>('A round of the collector failed'),
  'hot-tier.round-failed': warn<Failed>('A round of the hot tier failed'),

  'snapshot.durable': info<OfSnapshot>('A snapshot would survive power loss'),
  'snapshot.imported': info<
    OfSnapshot & { digest: string; signedBy: string | undefined; rebuilt: string | undefined }
  >('A snapshot of another host was taken in, and by whose word'),
  'snapshot.loaded': info<OfSnapshot & { bytes: number }>('Layers are in memory again'),
  'snapshot.evicted': info<OfSnapshot & { freedBytes: number }>('Layers were taken out of memory'),
  'snapshot.removed': info<OfSnapshot>('A snapshot was removed'),
  'snapshot.quarantined': warn<OfSnapshot & { object?: string; reason: string; to: string | undefined }>(
    'A damaged snapshot was put aside',
  ),
  'snapshot.not-quarantined': warn<OfSnapshot & Failed & { object: string }>(
    'A damaged snapshot stays in place',
  ),
  'hot-copy.damaged': warn<OfSnapshot & { object: string }>('A copy in memory is damaged; the disk has it'),
  'snapshot.not-durable': warn<OfSnapshot & Failed>('A snapshot is not durable yet; it is tried again'),
  'hot-copy.left': warn<OfSnapshot & Failed>('A file of a durable snapshot stays in memory'),
  'snapshot.not-unlinked': warn<Failed & { path: string }>('A file of a removed snapshot stays'),
} as const satisfies Record<string, EventRow<object>>;

export type EventName = keyof typeof eventTable;

/** What is told of an event. */
export type EventFacts<N extends EventName> = NonNullable<(typeof eventTable)[N]['facts']>;

/** Tells that something happened. Never throws. */
export type Emit = <N extends EventName>(name: N, facts: EventFacts<N>) => void;

/** An event with its facts, as subscribers get it: a union that its name tells apart. */
export type BoughEvent = {
  readonly [N in EventName]: { readonly name: N; readonly facts: EventFacts<N> };
}[EventName];

export class Events {
  readonly #subscribers = new Set<(event: BoughEvent) => void>();

  /** `subscriber` is told of every event from now on, as it happens. */
  subscribe(subscriber: (event: BoughEvent) => void): void {
    this.#subscribers.add(subscriber);
  }

  readonly emit: Emit = (name, facts) => {
    const event = { name, facts } as BoughEvent;
    for (const subscriber of this.#subscribers) {
      try {
        subscriber(event);
      } catch (error) {
        // A defect of whoever listens; never a failure of what has happened.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  };
}
