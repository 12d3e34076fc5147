/** Arguments and results of the QMP commands bough sends; everything else goes through `execute` untyped. */

/** What `query-status` calls a VM's state, of the ones bough meets. */
export type RunState =
  | 'prelaunch'
  | 'inmigrate'
  | 'running'
  | 'paused'
  | 'postmigrate'
  | 'finish-migrate'
  | 'save-vm'
  | 'shutdown'
  | 'guest-panicked'
  | 'internal-error'
  | 'io-error';

/** What `query-migrate` tells; empty before the first migration. */
export interface MigrationInfo {
  readonly status?: 'none' | 'setup' | 'active' | 'completed' | 'failed' | 'cancelled' | 'device';
  readonly 'error-desc'?: string;
}

type Nothing = Record<string, never>;

export interface QmpCommands {
  qmp_capabilities: { arguments: undefined; return: Nothing };
  stop: { arguments: undefined; return: Nothing };
  cont: { arguments: undefined; return: Nothing };
  quit: { arguments: undefined; return: Nothing };
  'query-status': { arguments: undefined; return: { readonly status: RunState; readonly running: boolean } };
  'query-name': { arguments: undefined; return: { readonly name?: string } };
  'query-migrate': { arguments: undefined; return: MigrationInfo };
  'migrate-set-capabilities': {
    arguments: { capabilities: readonly { capability: string; state: boolean }[] };
    return: Nothing;
  };
  'migrate-incoming': { arguments: { uri: string }; return: Nothing };
  'xen-save-devices-state': { arguments: { filename: string; live: boolean }; return: Nothing };
  'blockdev-add': {
    arguments: { driver: string; 'node-name': string } & Record<string, unknown>;
    return: Nothing;
  };
  'blockdev-del': { arguments: { 'node-name': string }; return: Nothing };
  'blockdev-snapshot': { arguments: { node: string; overlay: string }; return: Nothing };
  'blockdev-reopen': { arguments: { options: readonly Record<string, unknown>[] }; return: Nothing };
  'qom-set': { arguments: { path: string; property: string; value: unknown }; return: Nothing };
  'human-monitor-command': { arguments: { 'command-line': string }; return: string };
  'ringbuf-read': { arguments: { device: string; size: number; format?: 'utf8' | 'base64' }; return: string };
}
