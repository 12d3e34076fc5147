/** A guest's output as frames of the agent's protocol. */
import { encodeFrame, FrameKind } from '../../agent/index.js';
import { wireProcess } from '../v1/process-answers.js';
import type { OutputEncoder, OutputEvent } from './encoder.js';

const KINDS = { stdout: FrameKind.stdout, stderr: FrameKind.stderr, pty: FrameKind.pty };

/** The frame that says it. */
export function frameOf(event: OutputEvent): Buffer {
  if ('bytes' in event) return encodeFrame(KINDS[event.type], event.bytes);
  switch (event.type) {
    case 'started':
      return jsonFrame(FrameKind.event, { started: wireProcess(event.process) });
    case 'gap':
      return jsonFrame(FrameKind.event, { gap: { stream: event.stream, bytes: event.goneBytes } });
    case 'exit':
      return jsonFrame(FrameKind.end, { exit_code: event.exitCode });
    case 'end':
      return jsonFrame(FrameKind.end, wireProcess(event.process));
  }
}

function jsonFrame(kind: number, value: unknown): Buffer {
  return encodeFrame(kind, Buffer.from(JSON.stringify(value)));
}

export function framesEncoder(): OutputEncoder {
  return {
    piece: frameOf,
    rest: () => new Uint8Array(),
    keepAlive: () => jsonFrame(FrameKind.event, { keepalive: true }),
    failure: ({ code, message }) => jsonFrame(FrameKind.end, { error: { code, message } }),
  };
}
