/**
 * A guest's output as a JSON object a line: text where it is UTF-8, base64 where it is not. A character that was cut in two by the way
 * its bytes came waits for the rest of it.
 */
import { isUtf8 } from 'node:buffer';
import { wireProcess } from '../v1/process-answers.js';
import type { OutputEncoder, OutputEvent } from './encoder.js';

type Stream = 'stdout' | 'stderr' | 'pty';

export function linesEncoder(): OutputEncoder {
  const cut: Record<Stream, Buffer> = {
    stdout: Buffer.alloc(0),
    stderr: Buffer.alloc(0),
    pty: Buffer.alloc(0),
  };
  const text = (stream: Stream, bytes: Buffer): Buffer => {
    const all = cut[stream].length === 0 ? bytes : Buffer.concat([cut[stream], bytes]);
    const whole = all.subarray(0, all.length - cutBytes(all));
    cut[stream] = Buffer.from(all.subarray(whole.length));
    return whole.length === 0 ? Buffer.alloc(0) : outputLine(stream, whole);
  };
  const rest = (): Buffer => {
    const lines = (['stdout', 'stderr', 'pty'] as const)
      .filter((stream) => cut[stream].length > 0)
      .map((stream) => outputLine(stream, cut[stream]));
    return Buffer.concat(lines);
  };
  return {
    piece: (event) =>
      'bytes' in event
        ? text(event.type, event.bytes)
        : Buffer.concat([event.type === 'started' ? Buffer.alloc(0) : rest(), line(wireEvent(event))]),
    rest,
    keepAlive: () => line({ type: 'keepalive' }),
    failure: ({ code, message }) => line({ type: 'error', error: message, code }),
  };
}

function wireEvent(event: Exclude<OutputEvent, { bytes: Buffer }>): unknown {
  switch (event.type) {
    case 'started':
    case 'end':
      return { type: event.type, process: wireProcess(event.process) };
    case 'gap':
      return { type: 'gap', stream: event.stream, bytes: event.goneBytes };
    case 'exit':
      return { type: 'end', exit_code: event.exitCode };
  }
}

function outputLine(type: Stream, bytes: Buffer): Buffer {
  return line(isUtf8(bytes) ? { type, text: bytes.toString() } : { type, base64: bytes.toString('base64') });
}

function line(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

/** How many bytes at the end are the beginning of a character that could still become whole. */
function cutBytes(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const width = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return width > back ? back : 0;
  }
  return 0;
}
