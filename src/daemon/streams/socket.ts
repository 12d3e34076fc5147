/**
 * A WebSocket as two streams, of messages or of frames in them. Nothing is sent before the client took what was sent before, and nothing
 * is received before what came is used.
 */
import type { RawData, WebSocket } from 'ws';
import { FrameDecoder, FrameKind, type Frame } from '../../agent/index.js';

/** What a client may send, and how much in one frame. */
const CLIENT_LIMITS = new Map<number, number>([
  [FrameKind.stdin, 1 << 20],
  [FrameKind.control, 4096],
]);

/** Frames as they come, until the client goes. Throws AgentProtocolError for what is none. */
export async function* framesFrom(socket: WebSocket): AsyncGenerator<Frame, void, undefined> {
  const decoder = new FrameDecoder(CLIENT_LIMITS);
  for await (const bytes of messagesFrom(socket)) yield* decoder.push(bytes);
}

/** Messages as they come, until the client goes. */
export async function* messagesFrom(socket: WebSocket): AsyncGenerator<Buffer, void, undefined> {
  const waiting: Buffer[] = [];
  let wake = (): void => undefined;
  const onMessage = (data: RawData): void => {
    waiting.push(bytesOf(data));
    socket.pause();
    wake();
  };
  const onClose = (): void => wake();
  socket.on('message', onMessage).once('close', onClose);
  try {
    for (;;) {
      const bytes = waiting.shift();
      if (bytes !== undefined) yield bytes;
      else if (socket.readyState >= socket.CLOSING) return;
      else {
        const woken = new Promise<void>((resolve) => (wake = resolve));
        socket.resume();
        await woken;
      }
    }
  } finally {
    socket.off('message', onMessage).off('close', onClose);
    // Or its goodbye would not be heard.
    socket.resume();
  }
}

function bytesOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}

/** Resolves when the client has taken it, or is gone. */
export async function sendMessage(socket: WebSocket, bytes: Uint8Array): Promise<void> {
  if (socket.readyState !== socket.OPEN) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off('close', done);
      resolve();
    };
    socket.on('close', done);
    socket.send(bytes, done);
  });
}
