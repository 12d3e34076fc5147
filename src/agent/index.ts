/** Client of the guest agent. */
export { MAX_CAPTURED_BYTES } from './capture.js';
export { AgentClient } from './client.js';
export type {
  AgentAddress,
  CallOptions,
  EvalResult,
  ExecEvent,
  ExecRequest,
  ExecResult,
  IdentifyRequest,
  IdentifyResult,
  Pong,
} from './client.js';
export { AgentDeadline, AgentProtocolError, AgentRefused, AgentUnreachable } from './errors.js';
export { InputFailed } from './exchange.js';
export type { Input } from './exchange.js';
