/** Snapshots: their format, their two tiers, their lifecycle. Start reading in store.ts. */
export { openStore } from './snapshot-store.js';
export { chainNode } from './compact.js';
export { union, visibleRuns } from './fold.js';
export * from './errors.js';
export {
  agentAccessSchema,
  imageIdentitySchema,
  machineIdentitySchema,
  MANIFEST_VERSION,
  MAX_CHAIN_DEPTH,
  OBJECT_ID_PATTERN,
  requestKeySchema,
  TAG_PATTERN,
} from './manifest.js';
export type {
  AgentAccess,
  ImageIdentity,
  MachineIdentity,
  Manifest,
  RequestKey,
  Retention,
  ManifestDisk,
  ManifestLayer,
  SnapshotMode,
} from './manifest.js';
export { prepareFolder } from './folders.js';
export { filesBelow, removeLeftover } from './leftovers.js';
export type { Leftover } from './leftovers.js';
export type * from './types.js';
export type { CountedFile } from './usage.js';
export type {
  CompactPlan,
  DeleteOptions,
  Draft,
  Lease,
  LinkedSnapshot,
  Store,
  StoreLog,
  StoreOptions,
} from './store.js';
