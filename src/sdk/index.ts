/** The client of bough's HTTP API, for Node and browsers. Start with `Bough`. */

export { Bough } from './client.js';
export { BoughApiError, BoughUnreachable } from './errors.js';
export type { Sandboxes } from './sandbox.js';
export type { Snapshots } from './snapshot.js';
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
  Sandbox,
  Snapshot,
  SnapshotInfo,
  SpawnRequestInput,
  TimeoutRequestInput,
} from '../contract/index.js';
