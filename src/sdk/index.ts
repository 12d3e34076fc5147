/** The client of bough's HTTP API, for Node, Deno, Bun and browsers. Start with `Bough`. */

export { Bough } from './client.js';
export {
  Controller,
  type ControllerDeadline,
  type ControllerOptions,
  type ControllerSpawn,
} from './controller.js';
export { BoughApiError, BoughUnreachable } from './errors.js';
export { Sandbox, type Fork } from './sandbox.js';
export type { Sandboxes } from './sandboxes.js';
export type { Snapshots } from './snapshots.js';
export type { CallOptions, CallParts, Transport, TransportOptions } from './transport.js';
export type { ErrorCode } from '../contract/errors.js';
export type {
  BranchRequestInput,
  CreateSnapshotRequest,
  EvalRequestInput,
  EvalResult,
  ExecRequestInput,
  ExecResult,
  ForkRequestInput,
  ForkResult,
  GcRequestInput,
  GcResult,
  PingResult,
  RouteName,
  RouteReply,
  Sandbox as SandboxInfo,
  Snapshot,
  SnapshotInfo,
  SpawnRequestInput,
  TimeoutRequestInput,
} from '../contract/index.js';
