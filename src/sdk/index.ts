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
export type { Attachment } from './attachment.js';
export type { EventRange } from './events.js';
export type { FileBytes, FileOptions, GuestPath, SandboxFiles, WatchNews } from './files.js';
export type { NetworkLogLine } from './lines.js';
export type { SandboxNetwork } from './network.js';
export type { ExecOutput, OutputBytes, OutputGap, ProcessOutput } from './output.js';
export type { PageOptions } from './pages.js';
export type { PortConnection } from './port-connection.js';
export type { SandboxPorts } from './ports.js';
export type { OutputRange, Process } from './process.js';
export type { Processes, StartRequest } from './processes.js';
export type { StreamOptions } from './reconnect.js';
export type { ListOptions, Sandboxes } from './sandboxes.js';
export type { Secrets } from './secrets.js';
export type { ExportOptions, Snapshots } from './snapshots.js';
export type { OpenSocket, SocketListener, WebSocketLike } from './socket.js';
export type { SandboxTimeline } from './timeline.js';
export type { ByteStream, CallOptions, CallParts, Page, Transport, TransportOptions } from './transport.js';
export type { ErrorCode } from '../contract/errors.js';
export type {
  BranchRequestInput,
  Checkpoints,
  CheckpointsRequestInput,
  CreateSnapshotRequest,
  EvalRequestInput,
  EvalResult,
  EventGap,
  ExecRequestInput,
  ExecResult,
  FileEntry,
  ForkRequestInput,
  ForkResult,
  GcRequestInput,
  GcResult,
  Network,
  NetworkCheck,
  NetworkPolicyInput,
  NetworkVerdict,
  PingResult,
  Process as ProcessInfo,
  RemovedSandboxes,
  RollbackRequestInput,
  RolledBack,
  RouteName,
  RouteReply,
  Sandbox as SandboxInfo,
  SandboxEvent,
  SandboxStats,
  Secret,
  SecretRequestInput,
  Snapshot,
  SnapshotInfo,
  SpawnRequestInput,
  TerminalSize,
  TimelinePoint,
  TimeoutRequestInput,
} from '../contract/index.js';
