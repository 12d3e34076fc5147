/** Snapshots: their format, their two tiers, their lifecycle. Start reading in store.ts. */
export { openStore } from './snapshot-store.js';
export { copyDisk, diskDigest } from './format/disk-digest.js';
export * from './errors.js';
export {
  agentAccessSchema,
  imageIdentitySchema,
  machineIdentitySchema,
  MANIFEST_VERSION,
  requestKeySchema,
  thinningSchema,
} from './format/manifest.js';
export { recipeSchema, type Recipe } from './format/recipe.js';
export type {
  Checkpoint,
  Keep,
  MachineIdentity,
  Manifest,
  RequestKey,
  Retention,
  SnapshotMode,
  Thinning,
} from './format/manifest.js';
export { lockPathOf, prepareFolder } from './tier/folders.js';
export { removeLeftover } from './life/leftovers.js';
export { filesBelow, freedBytes } from './tier/counted-file.js';
export type { Leftover } from './life/leftovers.js';
export type * from './types.js';
export type { CountedFile } from './tier/counted-file.js';
export type {
  Draft,
  Lease,
  LinkedSnapshot,
  Received,
  ReceivedContent,
  Reception,
  Store,
  StoreOptions,
} from './store.js';
