/**
 * An HTTP request passed on to a program of a guest, over a connection of its own, and its answer passed back as it comes.
 *
 * Not handled: trailers, and answers before the answer (1xx).
 */
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { PassThrough, pipeline, Readable } from 'node:stream';
import type { PortConnection } from '../../agent/index.js';

export interface Forwarded {
  readonly method: string;
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: AsyncIterable<Buffer>;
}

/** Resolves with the beginning of the answer. Rejects with what went wrong before that, also when it is no HTTP. */
export function forward(
  { method, path, headers, body }: Forwarded,
  connection: PortConnection,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    // All of a socket that HTTP needs is that it is a stream.
    const createConnection = (): Socket => connection as unknown as Socket;
    const asked = httpRequest({ method, path, headers, createConnection, setHost: false });
    asked.once('response', resolve);
    asked.on('error', reject);
    const closed = (): void => reject(new Error('the connection ended before there was an answer'));
    connection.once('close', closed);
    if (connection.destroyed) closed();
    // A program that has answered may leave the rest of a body unread; what else fails, fails the request.
    const passed = (): void => undefined;
    if (hasBody(headers)) {
      asked.flushHeaders();
      pipeline(Readable.from(onceConnected(body, connection), { objectMode: false }), asked, passed);
    } else asked.end();
  });
}

/** By what HTTP says of requests. */
function hasBody(headers: OutgoingHttpHeaders): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

/** A body that is read from when somebody takes it: behind a refusal, Node throws away one that nobody began to read. */
async function* onceConnected(
  body: AsyncIterable<Buffer>,
  { connected }: PortConnection,
): AsyncGenerator<Buffer, void, undefined> {
  await connected;
  yield* body;
}

/** The body of an answer, which breaks with what `broken` makes of the reason; who stops reading it ends the connection. */
export function bodyOf(answer: IncomingMessage, broken: (cause: unknown) => Error): Readable {
  const body = new PassThrough();
  answer.once('error', (cause) => body.destroy(broken(cause)));
  body.once('close', () => void answer.destroy());
  return answer.pipe(body);
}
