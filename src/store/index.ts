/** Snapshots: their format, their two tiers, their lifecycle. Start reading in store.ts. */
export { openStore } from './snapshot-store.js';
export { chainNode } from './pack/compact.js';
export { union, visibleRuns } from './pack/fold.js';
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
} from './format/manifest.js';
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
} from './format/manifest.js';
export { lockPathOf, prepareFolder } from './tier/folders.js';
export { removeLeftover } from './life/leftovers.js';
export { filesBelow } from './tier/counted-file.js';
export type { Leftover } from './life/leftovers.js';
export type * from './types.js';
export type { CountedFile } from './tier/counted-file.js';
export type {
  CompactPlan,
  DeleteOptions,
  Draft,
  Lease,
  LinkedSnapshot,
  Store,
  StoreOptions,
} from './store.js';
