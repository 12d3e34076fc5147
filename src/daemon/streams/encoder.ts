/** A form in which a guest's output is sent: what it says, piece by piece, as bytes. */
import type { ExecEvent, ProcessEvent } from '../../agent/index.js';
import type { BoughError } from '../../contract/index.js';

/** What a guest may say in a stream. */
export type OutputEvent = ProcessEvent | ExecEvent;

export interface OutputEncoder {
  piece(event: OutputEvent): Uint8Array;
  /** What is held back still, in front of the end. */
  rest(): Uint8Array;
  keepAlive(): Uint8Array;
  failure(error: BoughError): Uint8Array;
}
