/** Small parts without any domain word in them. */
export { hostClock } from './clock.js';
export type { Clock } from './clock.js';
export { Deferred } from './deferred.js';
export { errnoName, errorCode } from './errno.js';
export {
  armFailpoint,
  armFailpoints,
  disarmFailpoints,
  failpoint,
  FailpointError,
  firedFailpoints,
  shortened,
} from './failpoint.js';
export type { FailpointAction } from './failpoint.js';
export {
  fsyncPath,
  linkIfPossible,
  linkOrCopy,
  namesIn,
  removeUnfinished,
  temporaryPath,
  TEMPORARY_PREFIX,
  writeFileAtomic,
} from './files.js';
export type { AtomicWriteOptions } from './files.js';
export { lockFile, LockHeld } from './lock-file.js';
export type { FileLock } from './lock-file.js';
export { BoundedLines } from './lines.js';
export { startRounds } from './rounds.js';
export type { Rounds } from './rounds.js';
export { ResourceStack } from './resource-stack.js';
export type { Undo } from './resource-stack.js';
export { abortReason, DeadlineExceeded, monotonicMs, sleep, unixSeconds, withDeadline } from './time.js';
