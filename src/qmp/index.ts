/** Client of QEMU's machine protocol. */
export { QmpClient } from './client.js';
export { QmpCommandError, QmpDisconnected, QmpProtocolError, QmpTimeout } from './errors.js';
export { parseMessage } from './messages.js';
export type { QmpEvent, QmpMessage } from './messages.js';
