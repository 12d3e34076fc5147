/**
 * An HTTP request passed on to a program of a guest, over a connection of its own, and its answer passed back as it comes.
 *
 * Not handled: trailers, and answers before the answer (1xx).
 */
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { PassThrough, pipeline, Readable, type Duplex } from 'node:stream';

export interface Forwarded {
  readonly method: string;
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: AsyncIterable<Buffer>;
}

/** Resolves with the beginning of the answer. Rejects with what went wrong before that, also when it is no HTTP. */
export function forward(
  { method, path, headers, body }: Forwarded,
  connection: Duplex,
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
    pipeline(Readable.from(body, { objectMode: false }), asked, () => undefined);
  });
}

/** The body of an answer, which breaks with what `broken` makes of the reason; who stops reading it ends the connection. */
export function bodyOf(answer: IncomingMessage, broken: (cause: unknown) => Error): Readable {
  const body = new PassThrough();
  answer.once('error', (cause) => body.destroy(broken(cause)));
  body.once('close', () => void answer.destroy());
  return answer.pipe(body);
}
