/** Client of the guest agent. */
export type { CallOptions } from './call.js';
export { encodeFrame, FrameDecoder, FrameKind, type Frame } from './frames.js';
export { MAX_CAPTURED_BYTES, OutputLimit } from './capture.js';
export { AgentClient, MAX_CALLS, MAX_STREAMS } from './client.js';
export type { AgentAddress } from './client.js';
export type { ChannelAddress } from './connection.js';
export { AgentDeadline, AgentProtocolError, AgentRefused, AgentUnreachable } from './errors.js';
export type { AgentFiles } from './files.js';
export { InputFailed } from './input.js';
export type { Input } from './input.js';
export type { PortConnection } from './operations/dial.js';
export type { EvalResult } from './operations/eval.js';
export type { CollectedExecRequest, ExecEvent, ExecRequest, ExecResult } from './operations/exec.js';
export type {
  FileChange,
  FileEntry,
  FileMove,
  FileRange,
  FileReading,
  FileSubject,
  FileWrite,
} from './operations/files.js';
export type { HeldPrograms } from './operations/freeze.js';
export type { IdentifyRequest, IdentifyResult } from './operations/identify.js';
export type { Pong } from './operations/ping.js';
export type { WatchNews } from './operations/watch.js';
export type { GuestStats } from './operations/stats.js';
export type {
  OutputRequest,
  Process,
  ProcessEvent,
  ProcessEvents,
  StartRequest,
  TerminalSize,
} from './operations/process.js';
