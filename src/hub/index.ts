/** Snapshots on their way between hosts. Start reading in format.ts. */
export { inspectSnapshot, pullSnapshot, pushSnapshot } from './by-registry.js';
export type { ByRegistryOptions, Pulled, Pushed, RemoteFacts } from './by-registry.js';
export { BadKey, BadSnapshotArchive, ProgramMissing, RegistryFailed, SnapshotUntrusted } from './errors.js';
export { generateKey, keyringOf, listed as listKeys, readKeyring, trustKey } from './keys.js';
export type { Keyring, PublicKey } from './keys.js';
export { archiveBytes, archiveOf, packSnapshot } from './pack.js';
export type { Layout, PackedBoot, PackSource } from './pack.js';
export type { SnapshotConfig } from './format.js';
export { remoteOf } from './remote.js';
export { IncomingSnapshot } from './unpack.js';
export type { ImageTargets, Trust, UnpackTargets } from './unpack.js';
