/** Small parts without any domain word in them. */
export { abortReason, anyOf, orAborted } from './abort.js';
export { BoundedLog } from './bounded-log.js';
export { hostClock } from './clock.js';
export type { Clock } from './clock.js';
export { compact } from './compact.js';
export { drained } from './drained.js';
export { Deferred } from './deferred.js';
export { errnoName, errorCode, isNoRoom } from './errno.js';
export {
  armFailpoint,
  armFailpoints,
  disarmFailpoints,
  failpoint,
  firedFailpoints,
  shortened,
} from './failpoint.js';
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
export { compileAtFirstCall } from './first-calls.js';
export { lockFile, LockHeld, lockHolder } from './lock-file.js';
export { BoundedLines } from './lines.js';
export { messageOf } from './message.js';
export { pick } from './pick.js';
export { startRounds } from './rounds.js';
export type { Rounds } from './rounds.js';
export { ResourceStack } from './resource-stack.js';
export { FileTooShort, HOLE_BYTES, isZero, SPARSE_PREFIX, sparseDigest } from './sparse-digest.js';
export { DeadlineExceeded, monotonicMs, sleep, unixSeconds, withDeadline } from './time.js';
export { GiB, MiB } from './units.js';
export { WorkSet } from './work-set.js';
export { keepYoungHeapSmall } from './young-heap.js';
