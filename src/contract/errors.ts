/**
 * The error catalogue: every way a call can fail, in one table.
 *
 * A row is `code -> {status, retryable, message(args)}`. `BoughError` is the one class over it, so an unknown
 * code or a missing argument does not compile. What crosses the wire is `{error, code, details?}`: `error` is
 * always a sentence, `details` are the row's arguments with snake_case names, for programs.
 *
 * Invariant: a message says what was attempted and what was found, and never repeats its cause.
 * Not handled: E2B's error shape (`{code, message}`), which its own adapter makes from the same errors.
 */

import { branchErrors } from './branch-errors.js';
import { doorErrors } from './door-errors.js';
import { fileErrors } from './file-errors.js';
import { serviceErrors } from './service-errors.js';
import { timelineErrors } from './timeline-errors.js';
import { hubErrors } from './hub-errors.js';

interface CatalogueRow {
  /** HTTP status the code is answered with, unless the route says otherwise (`statusFor` in v1/route.ts). */
  readonly status: number;
  /** True when the same request may succeed later without anyone changing it. */
  readonly retryable: boolean;
  readonly message: (args: never) => string;
}

export const errorCatalogue = {
  invalid_request: {
    status: 400,
    retryable: false,
    message: (a: { field: string; problem: string }) => `Invalid request: "${a.field}" ${a.problem}`,
  },
  malformed_json: {
    status: 400,
    retryable: false,
    message: () => 'Cannot read the request body: it is not valid JSON',
  },
  malformed_http: {
    status: 400,
    retryable: false,
    message: (a: { problem: string }) => `Cannot read the request: ${a.problem}`,
  },

  ...doorErrors,

  route_not_found: {
    status: 404,
    retryable: false,
    message: (a: { method: string; path: string }) => `No route ${a.method} ${a.path}`,
  },
  method_not_allowed: {
    status: 405,
    retryable: false,
    message: (a: { method: string; path: string; allowed: readonly string[] }) =>
      `${a.path} does not accept ${a.method}; it accepts ${a.allowed.join(', ')}`,
  },
  request_timeout: {
    status: 408,
    retryable: true,
    message: () => 'The request did not arrive in time',
  },
  payload_too_large: {
    status: 413,
    retryable: false,
    message: (a: { limitBytes: number }) => `The request body is larger than ${a.limitBytes} bytes`,
  },
  unsupported_media_type: {
    status: 415,
    retryable: false,
    message: (a: { contentType: string }) =>
      `Cannot read a body of type "${a.contentType}": send application/json`,
  },
  headers_too_large: {
    status: 431,
    retryable: false,
    message: () => 'The request headers are too large',
  },

  snapshot_not_found: {
    status: 404,
    retryable: false,
    message: (a: { tag: string }) => `No snapshot is named "${a.tag}"`,
  },
  sandbox_not_found: {
    status: 404,
    retryable: false,
    message: (a: { id: string }) => `No sandbox has the id or name "${a.id}"`,
  },
  process_not_found: {
    status: 404,
    retryable: false,
    message: (a: { id: string; problem: string }) => `No such process in sandbox "${a.id}": ${a.problem}`,
  },
  image_not_found: {
    status: 404,
    retryable: false,
    message: (a: { image: string; isOutdated?: boolean }) =>
      `No image named "${a.image}" has been built on this host${a.isOutdated === true ? ' since what it is made of changed' : ''}`,
  },
  secret_not_found: {
    status: 404,
    retryable: false,
    message: (a: { name: string }) => `No secret of this host is named "${a.name}"`,
  },
  image_unusable: {
    status: 409,
    retryable: false,
    message: (a: { problem: string }) => `An image of this host cannot be used: ${a.problem}`,
  },

  tag_exists: {
    status: 409,
    retryable: false,
    message: (a: { tag: string }) => `A snapshot named "${a.tag}" exists already`,
  },
  name_exists: {
    status: 409,
    retryable: false,
    message: (a: { name: string }) => `A sandbox named "${a.name}" exists already`,
  },
  snapshot_in_use: {
    status: 409,
    retryable: false,
    message: (a: { tag: string; snapshots: readonly string[]; sandboxes: readonly string[] }) =>
      `Cannot delete snapshot "${a.tag}": ${holders(a.snapshots, a.sandboxes)}`,
  },
  snapshot_not_usable: {
    status: 409,
    retryable: false,
    message: (a: { tag: string; missing: string }) => `Cannot use snapshot "${a.tag}": ${a.missing}`,
  },
  snapshot_incompatible: {
    status: 409,
    retryable: false,
    message: (a: {
      tag: string;
      field: string;
      wanted: string;
      found: string;
      problem?: string;
      again?: string;
    }) => {
      const differs = `its ${a.field} is ${a.wanted}, this host has ${a.found}`;
      const tried = a.problem === undefined ? '' : `, which could not load it: ${a.problem}`;
      const again = a.again === undefined ? '' : `; it cannot be made again either: ${a.again}`;
      return `Cannot restore snapshot "${a.tag}" on this host: ${differs}${tried}${again}`;
    },
  },
  sandbox_not_running: {
    status: 409,
    retryable: false,
    message: (a: { id: string; state: string }) => `Sandbox "${a.id}" is ${a.state}, not running`,
  },
  process_not_started: {
    status: 400,
    retryable: false,
    message: (a: { id: string; problem: string }) =>
      `Cannot start the program in sandbox "${a.id}": ${a.problem}`,
  },
  process_ended: {
    status: 409,
    retryable: false,
    message: (a: { id: string; problem: string }) => `Too late in sandbox "${a.id}": ${a.problem}`,
  },
  stdin_closed: {
    status: 409,
    retryable: false,
    message: (a: { id: string; problem: string }) =>
      `Cannot write to a process of sandbox "${a.id}": ${a.problem}`,
  },
  no_terminal: {
    status: 409,
    retryable: false,
    message: (a: { id: string; problem: string }) =>
      `Cannot resize a process of sandbox "${a.id}": ${a.problem}`,
  },
  port_unreachable: {
    status: 502,
    retryable: true,
    message: (a: { id: string; problem: string }) =>
      `Cannot connect to a port of sandbox "${a.id}": ${a.problem}`,
  },
  port_failed: {
    status: 502,
    retryable: false,
    message: (a: { id: string; problem: string }) =>
      `A connection to a port of sandbox "${a.id}" was lost: ${a.problem}`,
  },

  ...fileErrors,
  ...timelineErrors,
  ...hubErrors,

  not_durable: {
    status: 500,
    retryable: true,
    message: (a: { tag: string; problem: string }) =>
      `Snapshot "${a.tag}" could not be made durable: ${a.problem}`,
  },
  idempotency_key_reused: {
    status: 422,
    retryable: false,
    message: () => 'The idempotency key was given with another request: take a new one for each',
  },
  network_fixed: {
    status: 409,
    retryable: false,
    message: (a: { id: string }) =>
      `Sandbox "${a.id}" was started without a network and can be given none: start it with a policy, of the mode "off" at least`,
  },
  egress_unavailable: {
    status: 503,
    retryable: true,
    message: (a: { problem: string }) =>
      `The process that connects sandboxes cannot be reached: ${a.problem}`,
  },
  limit_unusable: {
    status: 400,
    retryable: false,
    message: (a: { limit: string; problem: string }) =>
      `Cannot start a sandbox with "${a.limit}": ${a.problem}`,
  },
  too_many_open_files: {
    status: 503,
    retryable: true,
    message: () => 'The daemon has no file descriptor left: raise its limit, or try again when less is open',
  },
  no_space: {
    status: 507,
    retryable: false,
    message: (a: { store: 'hot' | 'durable'; neededBytes: number; availableBytes: number }) =>
      `The ${a.store} store cannot hold it: ${a.neededBytes} bytes needed, ${a.availableBytes} available`,
  },
  too_many_mappings: {
    status: 507,
    retryable: false,
    message: (a: { operation: string }) =>
      `Cannot ${a.operation}: the memory is in more pieces than vm.max_map_count lets a process map; raise that with sysctl`,
  },
  no_memory: {
    status: 507,
    retryable: false,
    message: (a: { neededBytes: number; availableBytes: number }) =>
      `Not enough memory on this host: ${a.neededBytes} bytes needed, ${a.availableBytes} available`,
  },

  agent_unreachable: {
    status: 502,
    retryable: true,
    message: (a: { id: string; problem: string }) =>
      `Cannot reach the agent in sandbox "${a.id}": ${a.problem}`,
  },
  agent_protocol: {
    status: 502,
    retryable: false,
    message: (a: { id: string; problem: string }) =>
      `The agent in sandbox "${a.id}" broke its protocol: ${a.problem}`,
  },
  agent_refused: {
    status: 502,
    retryable: false,
    message: (a: { id: string; problem: string }) => `The agent in sandbox "${a.id}" refused: ${a.problem}`,
  },
  agent_deadline: {
    status: 504,
    retryable: false,
    message: (a: { id: string; timeoutMs: number }) =>
      `Sandbox "${a.id}" did not finish within ${a.timeoutMs} ms`,
  },

  ...branchErrors,
  integrity_error: {
    status: 500,
    retryable: false,
    message: (a: { object: string; problem: string }) => `${a.object} is damaged: ${a.problem}`,
  },
  boot_failed: {
    status: 500,
    retryable: false,
    message: (a: { problem: string }) => `The guest did not boot: ${a.problem}`,
  },
  ...serviceErrors,
  vmm_failed: {
    status: 500,
    retryable: false,
    message: (a: { operation: string; problem: string }) => `QEMU failed to ${a.operation}: ${a.problem}`,
  },
  shutting_down: {
    status: 503,
    retryable: true,
    message: () => 'The daemon is shutting down',
  },
  internal: {
    status: 500,
    retryable: false,
    message: (a: { requestId: string }) =>
      `Unexpected failure; the daemon's log explains request ${a.requestId}`,
  },
} as const satisfies Record<string, CatalogueRow>;

export type ErrorCode = keyof typeof errorCatalogue;

/** The arguments a code's message is made of; `void` for a code that takes none. */
export type ErrorArgs<C extends ErrorCode> =
  Parameters<(typeof errorCatalogue)[C]['message']> extends [infer A] ? A : undefined;

/** The body of every failed call. */
export interface WireError {
  readonly error: string;
  readonly code: ErrorCode;
  readonly details?: Readonly<Record<string, unknown>>;
}

type ConstructorRest<C extends ErrorCode> =
  ErrorArgs<C> extends undefined
    ? [args?: undefined, options?: ErrorOptions]
    : [args: ErrorArgs<C>, options?: ErrorOptions];

/**
 * A failure from the catalogue, the only error that crosses the wire.
 * `new BoughError('no_space', {store: 'hot', neededBytes, availableBytes}, {cause})`.
 */
export class BoughError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'BoughError';
  readonly code: C;
  readonly status: number;
  readonly retryable: boolean;
  /** The row's arguments under their wire names (snake_case); undefined for a code that takes none. */
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: C, ...[args, options]: ConstructorRest<C>) {
    const row: CatalogueRow = errorCatalogue[code];
    super(row.message(args as never), options);
    this.code = code;
    this.status = row.status;
    this.retryable = row.retryable;
    this.details = snakeCaseKeys(args as object | undefined);
  }

  /** The body to answer with. The cause stays here: it may name files and addresses of the host. */
  toWire(): WireError {
    return {
      error: this.message,
      code: this.code,
      ...(this.details === undefined ? {} : { details: this.details }),
    };
  }
}

/** True for a `BoughError`, and with `code` for one of that code. */
export function isBoughError<C extends ErrorCode>(error: unknown, code?: C): error is BoughError<C> {
  return error instanceof BoughError && (code === undefined || error.code === code);
}

/** True when `code` is in the catalogue: for answers read from the wire. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorCatalogue, code);
}

function holders(snapshots: readonly string[], sandboxes: readonly string[]): string {
  const named = [...snapshots.map((tag) => `snapshot "${tag}"`), ...sandboxes.map((id) => `sandbox "${id}"`)];
  const shown = named.slice(0, 5).join(', ');
  const rest = named.length > 5 ? ` and ${named.length - 5} more` : '';
  return `held by ${shown}${rest}`;
}

function snakeCaseKeys(args: object | undefined): Record<string, unknown> | undefined {
  if (args === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(args).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}
