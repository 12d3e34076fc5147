/** Snapshots on their way between hosts. Start reading in format.ts. */
export { BadKey, BadSnapshotArchive, ProgramMissing, SnapshotUntrusted } from './errors.js';
export { generateKey, listed as listKeys, readKeyring, trustKey } from './keys.js';
export type { Keyring, PublicKey } from './keys.js';
export { archiveBytes, archiveOf, packSnapshot } from './pack.js';
export type { Layout, PackSource } from './pack.js';
export type { SnapshotConfig } from './format.js';
export { IncomingSnapshot } from './unpack.js';
export type { Trust, UnpackTargets } from './unpack.js';
