/** What sandboxes may reach, and the process that lets them. */
export { HOST_NAME, PolicyRefused } from './rule.js';
export { Policy } from './policy.js';
export type { Lookup, OwnAddresses, Verdict } from './policy.js';
export { presetsSchema } from './presets.js';
export type { Presets } from './presets.js';
export { checkReplySchema, checkRequestSchema, policySchema } from './schema.js';
export type { CheckReply, PolicyWire, PolicyWireInput, PresetName, Rule } from './schema.js';
