/** Client of QEMU's machine protocol. */
export { QmpClient } from './client.js';
export type { QmpWaitOptions } from './client.js';
export type { MigrationInfo, QmpCommands, RunState } from './commands.js';
export { QmpCommandError, QmpDisconnected, QmpProtocolError, QmpTimeout } from './errors.js';
export type { QmpEvent } from './messages.js';
