/** The client of the C library in each VMM. Start reading in native/pager/protocol.h. */
export { PagerClient } from './client.js';
export type {
  PagerBranch,
  PagerBranchRequest,
  PagerCapture,
  PagerDisk,
  PagerMapping,
  PagerPause,
  PagerSpare,
  PagerTracking,
} from './client.js';
export { PagerDisconnected, PagerError } from './errors.js';
export {
  PAGER_ENV_QMP,
  PAGER_ENV_SOCKET,
  PAGER_ENV_USERFAULTFD,
  PAGER_PROTOCOL_VERSION,
} from './protocol.js';
export type { PagerRun } from './protocol.js';
