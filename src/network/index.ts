/** What sandboxes may reach, and the process that lets them. */
export { HOST_ADDRESS, HOST_NAME, PolicyRefused } from './rule.js';
export { Policy } from './policy.js';
export type { Lookup, OwnAddresses, Verdict } from './policy.js';
export { presetsSchema } from './presets.js';
export type { Presets } from './presets.js';
export { ownAddresses } from './own-addresses.js';
export { EgressClient, EgressRefused, EgressUnavailable } from './egress-client.js';
export type { SandboxAtEgress } from './egress-client.js';
export type { Counts } from './egress/counts.js';
export { readNames, writeNames } from './egress/names-file.js';
export type { NameEntry } from './egress/names.js';
export { headerProblem, parseSecretHost, prepareSecretsFolder, readSecrets, writeSecret } from './secret.js';
export type { SecretFile } from './secret.js';
export { FrameType, readSeal, writeFrame } from './egress/frames.js';
