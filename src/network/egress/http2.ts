/**
 * HTTP/2 on an opened connection: one session on each side, a stream there for a stream here, with trailers (gRPC has its status in them).
 *
 * Not handled: what a server pushes, and WebSockets over HTTP/2, which are not offered.
 */
import {
  connect,
  constants,
  createSecureServer,
  sensitiveHeaders,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { GuestStream } from './guest-stream.js';
import { injected } from './headers.js';
import type { Opened } from './http1.js';
import { authorityOf, type Refusal } from './judged-request.js';

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = constants;
/** Each takes memory of all sandboxes' egress. */
const MAX_STREAMS = 128;

type Stream = ServerHttp2Stream | ClientHttp2Stream;

/** Serves `guest`, on which TLS has not begun, until either side ends. Without `world` nothing may be passed on. */
export function serveHttp2(
  guest: GuestStream,
  context: SecureContext,
  world: TLSSocket | undefined,
  opened: Opened,
): void {
  // One server for each connection: a session on a TLSSocket that one has made oneself hears nothing.
  const server = createSecureServer({
    SNICallback: (_name, done) => done(null, context),
    settings: { maxConcurrentStreams: MAX_STREAMS },
  });
  const up = world && sessionOf(world, opened);
  server.on('session', (session) => joinSessions(session, up));
  server.on('stream', (stream, headers) => pass(stream, headers, up, opened));
  server.on('sessionError', () => guest.destroy());
  server.on('tlsClientError', (error: Error) => {
    opened.onNonsense(`its TLS cannot be: ${error.message}`);
    guest.destroy();
  });
  guest.once('close', () => world?.destroy());
  server.emit('connection', guest);
}

function sessionOf(world: TLSSocket, { target }: Opened): ClientHttp2Session {
  const session = connect(`https://${authorityOf(target)}`, {
    createConnection: () => world,
    settings: { enablePush: false },
  });
  session.on('error', () => undefined); // its streams tell
  return session;
}

/** Whoever says good-bye, the other one hears it. */
function joinSessions(session: ServerHttp2Session, up: ClientHttp2Session | undefined): void {
  up?.once('goaway', () => session.close());
  up?.once('close', () => session.close());
  session.once('close', () => up?.destroy());
}

function pass(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  up: ClientHttp2Session | undefined,
  { target, judge }: Opened,
): void {
  stream.on('error', () => undefined); // as 'close' has it
  const authorities = new Set([headers[':authority'], headers.host].filter((text) => text !== undefined));
  const { ':method': method = '', ':path': path = '' } = headers;
  const verdict = judge({ method, path, authorities: [...authorities] });
  if (!('injections' in verdict)) {
    refuse(stream, verdict);
    return;
  }
  const asked = injected(
    { ...requestHeaders(headers), ':method': method, ':path': path, ':authority': authorityOf(target) },
    verdict.injections,
  );
  const sensitive = verdict.injections.map(({ header }) => header);
  try {
    if (up === undefined) throw new Error('Nobody to pass it on to');
    const options = { endStream: stream.endAfterHeaders, waitForTrailers: !stream.endAfterHeaders };
    join(stream, up.request({ ...asked, [sensitiveHeaders]: sensitive }, options));
  } catch {
    stream.close(NGHTTP2_REFUSED_STREAM); // nothing of it was passed on, so it may be sent again
  }
}

function join(stream: ServerHttp2Stream, other: ClientHttp2Stream): void {
  passTrailers(stream, other);
  passTrailers(other, stream);
  stream.pipe(other);
  other.on('headers', (headers) => {
    if (!stream.headersSent) sayOn(stream, () => stream.additionalHeaders(withoutPseudo(headers, ':status')));
  });
  other.once('response', (headers) => {
    sayOn(stream, () => {
      stream.respond(withoutPseudo(headers, ':status'), { waitForTrailers: true });
      other.pipe(stream);
    });
  });
  other.on('error', () => undefined);
  other.once('close', () => closeWith(stream, other.rstCode));
  stream.once('close', () => closeWith(other, stream.rstCode));
}

/** Sent once all of the body is; none are sent as none. */
function passTrailers(from: Stream, to: Stream): void {
  let trailers: OutgoingHttpHeaders = {};
  from.once('trailers', (headers: IncomingHttpHeaders) => (trailers = withoutPseudo(headers)));
  to.once('wantTrailers', () => sayOn(to, () => to.sendTrailers(trailers)));
}

/** Says what came from the other side, unless the stream is closed. Node's parser takes headers that its writer does not: those end the stream. */
function sayOn(stream: Stream, say: () => void): void {
  if (stream.closed || stream.destroyed) return;
  try {
    say();
  } catch {
    stream.close(NGHTTP2_INTERNAL_ERROR);
  }
}

function closeWith(stream: Stream, code: number): void {
  if (stream.closed || (code === NGHTTP2_NO_ERROR && stream.writableEnded)) return;
  stream.close(code === NGHTTP2_NO_ERROR ? NGHTTP2_CANCEL : code);
}

function refuse(stream: ServerHttp2Stream, { status, problem }: Refusal): void {
  stream.respond({ ':status': status, 'content-type': 'text/plain' });
  stream.end(`bough: ${problem}\n`);
}

function requestHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(withoutPseudo(headers)).filter(([name]) => name !== 'host'));
}

function withoutPseudo(headers: IncomingHttpHeaders, kept?: string): OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !name.startsWith(':') || name === kept),
  );
}
