/**
 * What a sandbox is, what happens to it, and what it takes in each state: the one table.
 *
 *   spawned, adopted ──▶ running ── its VMM exits ──▶ failed ◀── its VMM exited while no daemon ran
 *                         │  ▲ │
 *                   pause │  │ └─── its VMM does not answer ──▶ unresponsive ◀── the same, found by a daemon that starts
 *                         ▼  │ resume
 *            adopted ──▶ paused ── its VMM exits, or does not answer ──▶ as from running
 *
 *   each of these ── remove ──▶ removing ──▶ (gone)          ── the daemon stops ──▶ released ──▶ (the next daemon's)
 *                 └─ rolled back ──▶ replaced ──▶ (gone)
 *
 * An unresponsive sandbox that answers again does not come back: the one that is adopted then takes its place, as the one that stands at
 * the snapshot does after a rollback. A branch, a fold of the disk, a rollback and a begun end lie over the states, and outlast them: a
 * branch still cleans up after its source has failed.
 *
 * Pure: it waits for nothing and holds nothing. The owner tells it what happened, and asks before it acts; whatever must happen
 * between the two without another coming in is up to the owner.
 */

import { BoughError } from '../../contract/index.js';

/** The states that last, each with why it is in it: those that the API shows. */
export type Lasting =
  | { readonly state: 'running'; readonly isStalled: boolean }
  | { readonly state: 'paused' }
  | { readonly state: 'unresponsive'; readonly why: string }
  | { readonly state: 'failed'; readonly why: string };

export type Lifecycle =
  | Lasting
  | { readonly state: 'removing'; readonly from: Lasting }
  | { readonly state: 'replaced'; readonly from: Lasting }
  | { readonly state: 'released'; readonly from: Lasting };

/** What is under way, whatever the state. */
export interface Claims {
  readonly isBranching: boolean;
  readonly isFolding: boolean;
  /** Another VM is being made to take its place. */
  readonly isRollingBack: boolean;
  /** Its end has begun: its last snapshot is being taken. */
  readonly isEnding: boolean;
}

/** What somebody wants of it. */
export type SandboxRequest =
  /** A call into its guest. */
  | 'use'
  /** A branch that its user asks for. */
  | 'ask-for-branch'
  /** To stop its guest, or to have it stopped already. */
  | 'pause'
  /** To let it run again, or to have it run already. */
  | 'resume'
  /** To say what it uses. */
  | 'measure'
  | 'change-lifetime'
  /** To have checkpoints taken of it by itself, or none any more. */
  | 'schedule'
  /** To say what it may reach, also of one that nobody can talk to. */
  | 'change-network'
  /** To be the one rollback. */
  | 'rollback'
  /** To be the one branch. */
  | 'branch'
  /** To be the one fold of its disk. */
  | 'fold'
  /** To have layers of its line merged, also while it is branched. */
  | 'merge'
  /** To bring its record in line with its disk. */
  | 'reconcile'
  /** To let a guest go on that stands still for want of room. */
  | 'continue'
  /** To connect to its VMM once more. */
  | 'adopt'
  /** To write its record to disk. */
  | 'record';

/** What a sandbox is called from when its removal has begun, while a branch or a rollback of it is under way, and after the latter. */
export const BEING_REMOVED = 'being removed';
const BEING_BRANCHED = 'being branched';
const BEING_ROLLED_BACK = 'being rolled back';
const ROLLED_BACK = 'rolled back';

/** Why a request is refused, as the word that completes "it is ...". */
export type Refusal =
  | 'paused'
  | 'stalled'
  | 'unresponsive'
  | 'failed'
  | 'running'
  | typeof BEING_REMOVED
  | 'left to the next daemon'
  | 'at its end'
  | typeof BEING_BRANCHED
  | typeof BEING_ROLLED_BACK
  | typeof ROLLED_BACK
  | 'being folded'
  | 'not stalled';

/** What a refusal is told as. */
export function refused(id: string, refusal: Refusal): BoughError {
  switch (refusal) {
    case BEING_BRANCHED:
      return new BoughError('branch_in_progress', { id });
    case BEING_ROLLED_BACK:
      return new BoughError('rollback_in_progress', { id });
    case ROLLED_BACK:
      return new BoughError('sandbox_rolled_back', { id });
    default:
      return new BoughError('sandbox_not_running', { id, state: refusal });
  }
}

/** The requests that each state takes; anything else it refuses. */
const TAKES: Readonly<Record<Lifecycle['state'], ReadonlySet<SandboxRequest>>> = {
  running: new Set([
    ...[
      'use',
      'ask-for-branch',
      'pause',
      'resume',
      'measure',
      'change-lifetime',
      'schedule',
      'change-network',
    ],
    ...['rollback', 'branch', 'fold', 'merge', 'reconcile', 'continue', 'record'],
  ] as const),
  paused: new Set([
    ...['ask-for-branch', 'pause', 'resume', 'measure', 'change-lifetime', 'schedule', 'change-network'],
    ...['rollback', 'branch', 'fold', 'merge', 'reconcile', 'record'],
  ] as const),
  unresponsive: new Set(['change-lifetime', 'schedule', 'change-network', 'adopt', 'record']),
  failed: new Set(['change-lifetime', 'schedule', 'rollback', 'record']),
  removing: new Set(),
  replaced: new Set(),
  released: new Set(['record']),
};

const NAMES: Readonly<Record<Lifecycle['state'], Refusal>> = {
  running: 'running',
  paused: 'paused',
  unresponsive: 'unresponsive',
  failed: 'failed',
  removing: BEING_REMOVED,
  replaced: ROLLED_BACK,
  released: 'left to the next daemon',
};

/** What its state is called where it is the reason for a refusal. */
export const nameOf = ({ state }: Lifecycle): Refusal => NAMES[state];

/** What would be lost with the VM of before, or is of no use to it; its last branch is the rollback's own. */
const NOT_IN_A_ROLLBACK: ReadonlySet<SandboxRequest> = new Set([
  ...(['use', 'ask-for-branch', 'pause', 'resume', 'change-lifetime', 'change-network'] as const),
  ...(['schedule', 'rollback', 'fold'] as const),
]);

/** Why a request is refused now; undefined if it is taken. */
export function refusalOf(
  lifecycle: Lifecycle,
  claims: Claims,
  request: SandboxRequest,
): Refusal | undefined {
  if (!TAKES[lifecycle.state].has(request)) return nameOf(lifecycle);
  if (claims.isRollingBack && NOT_IN_A_ROLLBACK.has(request)) return BEING_ROLLED_BACK;
  switch (request) {
    case 'use':
    case 'ask-for-branch':
    case 'resume':
    case 'change-lifetime':
    case 'schedule':
    case 'rollback':
      return claims.isEnding ? 'at its end' : undefined;
    case 'pause':
      if (claims.isEnding) return 'at its end';
      // What goes on by itself once there is room would go on although it is paused.
      if (lifecycle.state === 'running' && lifecycle.isStalled) return 'stalled';
      return claims.isBranching ? BEING_BRANCHED : undefined;
    case 'branch':
      return claims.isBranching ? BEING_BRANCHED : undefined;
    case 'fold':
      return claims.isBranching ? BEING_BRANCHED : claims.isFolding ? 'being folded' : undefined;
    case 'continue':
      if (lifecycle.state === 'running' && !lifecycle.isStalled) return 'not stalled';
      return claims.isBranching ? BEING_BRANCHED : undefined;
    default:
      return undefined;
  }
}

/** What happens to it. */
export type SandboxEvent =
  /** QEMU has stopped the guest: there is no room for what it writes to its disk. */
  | { readonly what: 'stalled' }
  /** A guest that stood still was told to go on. */
  | { readonly what: 'continued' }
  | { readonly what: 'paused' }
  | { readonly what: 'resumed' }
  | { readonly what: 'vmm-silent'; readonly why: string }
  | { readonly what: 'vmm-exited'; readonly why: string }
  /** Another VM has taken its place. */
  | { readonly what: 'replaced' }
  | { readonly what: 'removal-begun' }
  | { readonly what: 'daemon-stops' };

/** The state after an event. What happens to a VM that is nobody's business any more changes nothing. */
export function after(lifecycle: Lifecycle, event: SandboxEvent): Lifecycle {
  switch (event.what) {
    case 'replaced':
      return { state: 'replaced', from: lasting(lifecycle) };
    case 'removal-begun':
      return isOver(lifecycle) ? lifecycle : { state: 'removing', from: lasting(lifecycle) };
    case 'daemon-stops':
      return isOver(lifecycle) ? lifecycle : { state: 'released', from: lasting(lifecycle) };
    default:
      if (lifecycle.state === 'running') return afterRunning(lifecycle, event);
      return lifecycle.state === 'paused' ? afterPaused(lifecycle, event) : lifecycle;
  }
}

const isOver = ({ state }: Lifecycle): boolean => state === 'removing' || state === 'replaced';

type EventOfVm = Exclude<SandboxEvent, { what: 'replaced' | 'removal-begun' | 'daemon-stops' }>;

function afterRunning(running: Lasting, event: EventOfVm): Lasting {
  switch (event.what) {
    case 'stalled':
      return { state: 'running', isStalled: true };
    case 'continued':
      return { state: 'running', isStalled: false };
    case 'paused':
      return { state: 'paused' };
    case 'resumed':
      return running;
    case 'vmm-silent':
      return { state: 'unresponsive', why: event.why };
    case 'vmm-exited':
      return { state: 'failed', why: event.why };
  }
}

/** A guest that stands still does not come to write to a disk without room. */
function afterPaused(paused: Lasting, event: EventOfVm): Lasting {
  switch (event.what) {
    case 'resumed':
      return { state: 'running', isStalled: false };
    case 'vmm-silent':
    case 'vmm-exited':
      return afterRunning(paused, event);
    default:
      return paused;
  }
}

/** What it is for who only looks: one that is being removed or let go is shown as it was. */
export function lasting(lifecycle: Lifecycle): Lasting {
  return 'from' in lifecycle ? lifecycle.from : lifecycle;
}
