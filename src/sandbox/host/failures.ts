/**
 * From the small errors of store, vmm, pager and agent to the error catalogue: the one place that knows both.
 *
 * Each use case wraps itself in `catalogued()` once. An error it does not know stays as it is, and the daemon answers
 * `internal` and logs it.
 */
import {
  AgentDeadline,
  AgentProtocolError,
  AgentRefused,
  AgentUnreachable,
  InputFailed,
} from '../../agent/index.js';
import { DeadlineExceeded, errorCode, isNoRoom } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import { BadKey, BadSnapshotArchive, ProgramMissing, SnapshotUntrusted } from '../../hub/index.js';
import { ImageUnknown, ImageUnusable } from '../../image/index.js';
import { PagerDisconnected, PagerError } from '../../pager/index.js';
import { QmpCommandError, QmpDisconnected, QmpTimeout } from '../../qmp/index.js';
import {
  IntegrityError,
  NoSpace,
  NotDurable,
  SnapshotInUse,
  SnapshotNotFound,
  SnapshotUnusable,
  TagExists,
} from '../../store/index.js';
import { DeviceStateRejected, VmmGone, VmmSilent, VmmStartFailed } from '../../vmm/index.js';

/** What was attempted, for messages: `operation` completes "QEMU failed to ...". */
export interface Attempt {
  readonly operation: string;
  readonly sandboxId?: string;
}

/** Runs `work`; whatever it throws that the catalogue has a word for is thrown as BoughError, with the cause. */
export async function catalogued<T>(attempt: Attempt, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toCatalogue(error, attempt);
  }
}

/** See `catalogued`. */
export function toCatalogue(error: unknown, attempt: Attempt): unknown {
  if (isOutOfFiles(error)) return new BoughError('too_many_open_files', undefined, { cause: error });
  if (error instanceof BoughError) return error;
  // What reading from the caller came to is the caller's, such as a body that does not arrive in time.
  if (error instanceof InputFailed) return toCatalogue(error.cause, attempt);
  if (error instanceof ImageUnknown)
    return new BoughError('image_not_found', { image: error.image }, { cause: error });
  if (error instanceof ImageUnusable)
    return new BoughError('image_unusable', { problem: error.message }, { cause: error });
  return (
    fromStore(error) ??
    fromHub(error, attempt) ??
    fromVm(error, attempt) ??
    fromAgent(error, attempt) ??
    error
  );
}

const OUT_OF_FILES = new Set(['EMFILE', 'ENFILE']);

/** True where this process, or the machine, had no file descriptor left: whatever failed for it may succeed when others are closed. */
export function isOutOfFiles(error: unknown): boolean {
  const errors = new Set([error]);
  for (const each of errors) {
    if (!(each instanceof Error)) continue;
    if (OUT_OF_FILES.has(errorCode(each) ?? '')) return true;
    // Work that failed, and then its undo as well, has two reasons.
    const { cause, suppressed, error: ofUndo, errors: several } = each as Reasons;
    for (const reason of [cause, suppressed, ofUndo, several].flat()) errors.add(reason);
  }
  return false;
}

/** Where errors keep other errors: also SuppressedError and AggregateError. */
interface Reasons {
  readonly cause?: unknown;
  readonly suppressed?: unknown;
  readonly error?: unknown;
  readonly errors?: unknown;
}

function fromStore(cause: unknown): BoughError | undefined {
  const options = { cause };
  if (cause instanceof SnapshotNotFound)
    return new BoughError('snapshot_not_found', { tag: cause.tag }, options);
  if (cause instanceof TagExists) return new BoughError('tag_exists', { tag: cause.tag }, options);
  if (cause instanceof SnapshotUnusable) {
    return new BoughError('snapshot_not_usable', { tag: cause.tag, missing: cause.reason }, options);
  }
  if (cause instanceof SnapshotInUse) {
    const { tag, holders } = cause;
    const named = (kind: string): string[] =>
      holders
        .filter((holder) => holder.startsWith(`${kind} `))
        .map((holder) => holder.slice(kind.length + 1));
    return new BoughError(
      'snapshot_in_use',
      { tag, snapshots: named('snapshot'), sandboxes: named('sandbox') },
      options,
    );
  }
  if (cause instanceof NotDurable) {
    const { tag, cause: reason } = cause;
    const named = fromStore(reason);
    return named ?? new BoughError('not_durable', { tag, problem: reason.message }, options);
  }
  if (cause instanceof NoSpace) {
    const { store, neededBytes, availableBytes } = cause;
    return new BoughError('no_space', { store, neededBytes, availableBytes }, options);
  }
  if (cause instanceof IntegrityError) {
    return new BoughError('integrity_error', { object: cause.object, problem: cause.problem }, options);
  }
  if (isNoRoom(errorCode(cause))) {
    return new BoughError('no_space', { store: 'durable', neededBytes: 0, availableBytes: 0 }, options);
  }
  return undefined;
}

function fromHub(cause: unknown, { operation }: Attempt): BoughError | undefined {
  const options = { cause };
  if (cause instanceof BadSnapshotArchive)
    return new BoughError('bad_snapshot_archive', { problem: cause.problem }, options);
  if (cause instanceof SnapshotUntrusted)
    return new BoughError('snapshot_untrusted', { problem: cause.problem }, options);
  if (cause instanceof ProgramMissing || cause instanceof BadKey)
    return new BoughError('host_not_ready', { operation, problem: cause.message }, options);
  return undefined;
}

const QEMU_ERRORS = [
  DeadlineExceeded,
  VmmStartFailed,
  VmmGone,
  VmmSilent,
  DeviceStateRejected,
  QmpCommandError,
  QmpTimeout,
  QmpDisconnected,
];

function fromVm(cause: unknown, { operation, sandboxId }: Attempt): BoughError | undefined {
  const options = { cause };
  if (cause instanceof PagerError) {
    if (isNoRoom(cause.errnoName)) {
      const store = cause.operation.includes('durable') ? 'durable' : 'hot';
      return new BoughError('no_space', { store, neededBytes: 0, availableBytes: 0 }, options);
    }
    if (cause.operation.includes('vm.max_map_count'))
      return new BoughError('too_many_mappings', { operation }, options);
    if (cause.operation === 'track writes' && cause.errnoName === 'ENOTSUP') {
      const reason = 'this kernel has no userfaultfd write-protection for unprivileged or any use';
      return new BoughError('mode_unsupported', { mode: 'live', reason }, options);
    }
    // A pause ends at its deadline with the guest running; where there is no sandbox, nothing runs on.
    if (cause.errnoName === 'ETIMEDOUT' && sandboxId !== undefined)
      return new BoughError('branch_not_in_time', { id: sandboxId, problem: cause.message }, options);
    return new BoughError('vmm_failed', { operation, problem: cause.message }, options);
  }
  if (cause instanceof PagerDisconnected) {
    return sandboxId === undefined
      ? new BoughError('vmm_failed', { operation, problem: cause.message }, options)
      : new BoughError('source_died', { id: sandboxId, reason: cause.message }, options);
  }
  if (cause instanceof Error && QEMU_ERRORS.some((kind) => cause instanceof kind)) {
    return new BoughError('vmm_failed', { operation, problem: cause.message }, options);
  }
  return undefined;
}

type Refusal = (args: { id: string; problem: string }, options: ErrorOptions) => BoughError;

/** What an agent refuses for a reason that the catalogue knows. */
const REFUSALS = new Map<string, Refusal>([
  ['no_process', (args, options) => new BoughError('process_not_found', args, options)],
  ['not_started', (args, options) => new BoughError('process_not_started', args, options)],
  ['process_ended', (args, options) => new BoughError('process_ended', args, options)],
  ['stdin_closed', (args, options) => new BoughError('stdin_closed', args, options)],
  ['no_terminal', (args, options) => new BoughError('no_terminal', args, options)],
  ['no_file', (args, options) => new BoughError('file_not_found', args, options)],
  ['file_exists', (args, options) => new BoughError('file_exists', args, options)],
  ['not_a_file', (args, options) => new BoughError('not_a_file', args, options)],
  ['not_a_folder', (args, options) => new BoughError('not_a_folder', args, options)],
  ['denied', (args, options) => new BoughError('file_denied', args, options)],
  ['bad_archive', (args, options) => new BoughError('bad_archive', args, options)],
  ['no_space', (args, options) => new BoughError('guest_disk_full', args, options)],
  ['file_failed', (args, options) => new BoughError('file_failed', args, options)],
  [
    'no_user',
    ({ problem }, options) => new BoughError('invalid_request', { field: 'user', problem }, options),
  ],
  ['not_connected', (args, options) => new BoughError('port_unreachable', args, options)],
  ['connection_reset', (args, options) => new BoughError('port_failed', args, options)],
]);

function fromAgent(cause: unknown, { sandboxId: id = 'new' }: Attempt): BoughError | undefined {
  const options = { cause };
  if (cause instanceof AgentUnreachable) {
    return new BoughError('agent_unreachable', { id, problem: cause.message }, options);
  }
  if (cause instanceof AgentProtocolError) {
    return new BoughError('agent_protocol', { id, problem: cause.message }, options);
  }
  if (cause instanceof AgentRefused) {
    const known = REFUSALS.get(cause.code);
    if (known !== undefined) return known({ id, problem: cause.problem }, options);
    return cause.code === 'bad_request'
      ? new BoughError(
          'invalid_request',
          { field: refusedField(cause.problem), problem: `was refused by the guest: ${cause.problem}` },
          options,
        )
      : new BoughError('agent_refused', { id, problem: cause.message }, options);
  }
  if (cause instanceof AgentDeadline) {
    return new BoughError('agent_deadline', { id, timeoutMs: cause.timeoutMs }, options);
  }
  return undefined;
}

/** The agent's sentences begin with the field they are about. */
function refusedField(problem: string): string {
  return /^(cwd|env|pty|user)\b/.exec(problem)?.[0] ?? 'args';
}
