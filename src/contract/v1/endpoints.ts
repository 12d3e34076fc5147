/**
 * Where each call goes: method and path, `:name` marks a parameter. Apart from the schemas, so that a client in
 * a browser can have this table without a validation library.
 */

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';

export interface Endpoint {
  readonly method: HttpMethod;
  readonly path: string;
}

export const endpoints = {
  healthz: { method: 'GET', path: '/healthz' },
  version: { method: 'GET', path: '/version' },
  metrics: { method: 'GET', path: '/metrics' },
  openapi: { method: 'GET', path: '/openapi.json' },
  gc: { method: 'POST', path: '/v1/gc' },
  events: { method: 'GET', path: '/v1/events' },
  listSnapshots: { method: 'GET', path: '/v1/snapshots' },
  createSnapshot: { method: 'POST', path: '/v1/snapshots' },
  getSnapshot: { method: 'GET', path: '/v1/snapshots/:tag' },
  snapshotInfo: { method: 'GET', path: '/v1/snapshots/:tag/info' },
  deleteSnapshot: { method: 'DELETE', path: '/v1/snapshots/:tag' },
  exportSnapshot: { method: 'GET', path: '/v1/snapshots/:tag/archive' },
  importSnapshot: { method: 'POST', path: '/v1/snapshots/import' },
  trustedKeys: { method: 'GET', path: '/v1/trusted-keys' },
  compactSnapshot: { method: 'POST', path: '/v1/snapshots/:tag/compact' },
  listSandboxes: { method: 'GET', path: '/v1/sandboxes' },
  spawn: { method: 'POST', path: '/v1/sandboxes' },
  getSandbox: { method: 'GET', path: '/v1/sandboxes/:id' },
  removeSandboxes: { method: 'DELETE', path: '/v1/sandboxes' },
  removeSandbox: { method: 'DELETE', path: '/v1/sandboxes/:id' },
  pauseSandbox: { method: 'POST', path: '/v1/sandboxes/:id/pause' },
  resumeSandbox: { method: 'POST', path: '/v1/sandboxes/:id/resume' },
  sandboxStats: { method: 'GET', path: '/v1/sandboxes/:id/stats' },
  sandboxEvents: { method: 'GET', path: '/v1/sandboxes/:id/events' },
  exec: { method: 'POST', path: '/v1/sandboxes/:id/exec' },
  evaluate: { method: 'POST', path: '/v1/sandboxes/:id/eval' },
  ping: { method: 'POST', path: '/v1/sandboxes/:id/ping' },
  startProcess: { method: 'POST', path: '/v1/sandboxes/:id/processes' },
  listProcesses: { method: 'GET', path: '/v1/sandboxes/:id/processes' },
  getProcess: { method: 'GET', path: '/v1/sandboxes/:id/processes/:pid' },
  processOutput: { method: 'GET', path: '/v1/sandboxes/:id/processes/:pid/output' },
  processInput: { method: 'POST', path: '/v1/sandboxes/:id/processes/:pid/stdin' },
  signalProcess: { method: 'POST', path: '/v1/sandboxes/:id/processes/:pid/signal' },
  resizeProcess: { method: 'POST', path: '/v1/sandboxes/:id/processes/:pid/resize' },
  attachProcess: { method: 'GET', path: '/v1/sandboxes/:id/processes/:pid/attach' },
  readFile: { method: 'GET', path: '/v1/sandboxes/:id/files' },
  headFile: { method: 'HEAD', path: '/v1/sandboxes/:id/files' },
  writeFile: { method: 'PUT', path: '/v1/sandboxes/:id/files' },
  removeFile: { method: 'DELETE', path: '/v1/sandboxes/:id/files' },
  statFile: { method: 'GET', path: '/v1/sandboxes/:id/files/stat' },
  listFolder: { method: 'GET', path: '/v1/sandboxes/:id/files/list' },
  makeFolder: { method: 'POST', path: '/v1/sandboxes/:id/files/mkdir' },
  moveFile: { method: 'POST', path: '/v1/sandboxes/:id/files/move' },
  watchFiles: { method: 'GET', path: '/v1/sandboxes/:id/files/watch' },
  packTree: { method: 'GET', path: '/v1/sandboxes/:id/tree' },
  unpackTree: { method: 'PUT', path: '/v1/sandboxes/:id/tree' },
  connectPort: { method: 'GET', path: '/v1/sandboxes/:id/ports/:port' },
  setTimeout: { method: 'POST', path: '/v1/sandboxes/:id/timeout' },
  branch: { method: 'POST', path: '/v1/sandboxes/:id/branch' },
  fork: { method: 'POST', path: '/v1/sandboxes/:id/fork' },
  timeline: { method: 'GET', path: '/v1/sandboxes/:id/timeline' },
  getCheckpoints: { method: 'GET', path: '/v1/sandboxes/:id/checkpoints' },
  setCheckpoints: { method: 'POST', path: '/v1/sandboxes/:id/checkpoints' },
  removeCheckpoints: { method: 'DELETE', path: '/v1/sandboxes/:id/checkpoints' },
  rollback: { method: 'POST', path: '/v1/sandboxes/:id/rollback' },
  getNetwork: { method: 'GET', path: '/v1/sandboxes/:id/network' },
  setNetwork: { method: 'PUT', path: '/v1/sandboxes/:id/network' },
  checkNetwork: { method: 'POST', path: '/v1/sandboxes/:id/network/check' },
  listSecrets: { method: 'GET', path: '/v1/secrets' },
  setSecret: { method: 'PUT', path: '/v1/secrets/:name' },
  removeSecret: { method: 'DELETE', path: '/v1/secrets/:name' },
  networkLog: { method: 'GET', path: '/v1/sandboxes/:id/network/log' },
} as const satisfies Record<string, Endpoint>;

export type EndpointName = keyof typeof endpoints;
