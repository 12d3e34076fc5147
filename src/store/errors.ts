/**
 * What can go wrong in the store, as small errors with facts; the use cases turn them into catalogue errors.
 */

/** Which tier an error is about: `hot` is memory, `durable` is disk. */
export type Tier = 'hot' | 'durable';

/** The tag is taken by a snapshot that exists or is being written. */
export class TagExists extends Error {
  override readonly name = 'TagExists';
  readonly tag: string;
  constructor(tag: string) {
    super(`Snapshot "${tag}" exists already`);
    this.tag = tag;
  }
}

/** No such snapshot (or it was deleted while the caller waited for it). */
export class SnapshotNotFound extends Error {
  override readonly name = 'SnapshotNotFound';
  readonly tag: string;
  constructor(tag: string) {
    super(`There is no snapshot "${tag}"`);
    this.tag = tag;
  }
}

/** The snapshot exists but cannot be started from; `reason` is a clause such as `its capture failed: …`. */
export class SnapshotUnusable extends Error {
  override readonly name = 'SnapshotUnusable';
  readonly tag: string;
  readonly reason: string;
  constructor(tag: string, reason: string) {
    super(`Cannot use snapshot "${tag}": ${reason}`);
    this.tag = tag;
    this.reason = reason;
  }
}

/**
 * Something still needs the snapshot; `holders` names each of them, such as `snapshot b` or `sandbox sb1`.
 */
export class SnapshotInUse extends Error {
  override readonly name = 'SnapshotInUse';
  readonly tag: string;
  readonly holders: readonly string[];
  constructor(tag: string, holders: readonly string[]) {
    super(`Snapshot "${tag}" is in use by ${holders.join(', ')}`);
    this.tag = tag;
    this.holders = holders;
  }
}

/**
 * A tier cannot hold what was asked for; `neededBytes` is 0 when the kernel said so in the middle of a write.
 */
export class NoSpace extends Error {
  override readonly name = 'NoSpace';
  readonly store: Tier;
  readonly neededBytes: number;
  readonly availableBytes: number;
  constructor(store: Tier, neededBytes: number, availableBytes: number, options?: ErrorOptions) {
    const needed = neededBytes === 0 ? '' : `${neededBytes} bytes are needed, `;
    super(`The ${store} store is full: ${needed}${availableBytes} bytes are available`, options);
    this.store = store;
    this.neededBytes = neededBytes;
    this.availableBytes = availableBytes;
  }
}

/** The snapshot is complete, but it would not survive power loss; the cause says why. */
export class NotDurable extends Error {
  override readonly name = 'NotDurable';
  readonly tag: string;
  override readonly cause: Error;
  constructor(tag: string, cause: Error) {
    super(`Snapshot "${tag}" could not be made durable: ${cause.message}`, { cause });
    this.tag = tag;
    this.cause = cause;
  }
}

/**
 * A stored object is not what its manifest says; `object` is its path relative to the snapshot,
 * `quarantinedTo` a folder.
 */
export class IntegrityError extends Error {
  override readonly name = 'IntegrityError';
  readonly tag: string;
  readonly object: string;
  /** A clause about the object, such as `does not match its digest`. */
  readonly problem: string;
  quarantinedTo: string | undefined;
  constructor(tag: string, object: string, problem: string) {
    super(`Snapshot "${tag}" is damaged: ${object} ${problem}`);
    this.tag = tag;
    this.object = object;
    this.problem = problem;
  }
}

/** A folder the store was told to use is not usable as one; the message says which and why. */
export class BadStoreFolder extends Error {
  override readonly name = 'BadStoreFolder';
  readonly path: string;
  constructor(path: string, reason: string, options?: ErrorOptions) {
    super(`Cannot use ${path}: ${reason}`, options);
    this.path = path;
  }
}

/** The folder was written by a later version of this program; nothing in it was changed. */
export class StoreTooNew extends Error {
  override readonly name = 'StoreTooNew';
  readonly path: string;
  constructor(path: string, version: number, supported: number) {
    super(
      `Cannot open ${path}: it is of format version ${version}, this program knows up to ${supported}; use the newer program`,
    );
    this.path = path;
  }
}

/** Another process has the store open; this one changed nothing. */
export class StoreLocked extends Error {
  override readonly name = 'StoreLocked';
  readonly path: string;
  constructor(path: string, holder: string, options?: ErrorOptions) {
    super(`Cannot use ${path}: another daemon (process ${holder}) is using it`, options);
    this.path = path;
  }
}
