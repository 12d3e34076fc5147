/**
 * Every failure becomes one of the catalogue's, and is then answered in the shape of the API it belongs to.
 *
 * What fastify and Node's HTTP parser refuse by themselves is translated into the catalogue here; anything
 * unknown is `internal`, logged in full and answered without a word of it.
 */

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { BoughError, isBoughError } from '../../contract/index.js';
import { isOutOfFiles } from '../../sandbox/host/failures.js';
import { newRequestId } from './request-id.js';

const retryAfterSecs = 5;

/** A failure as an API answers it: the status, and what goes into the body as JSON. */
export type Refusal = (
  failure: BoughError,
  /** Absent when too little of it arrived. */
  request?: FastifyRequest,
) => {
  readonly status: number;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Answers `request` with `error`. */
export async function sendFailure(
  refusal: Refusal,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const failure = translate(error, request);
  const { status, body, headers = {} } = refusal(failure, request);
  if (status >= 500 && !reply.raw.destroyed)
    request.log.error({ err: error, code: failure.code }, failure.message);
  else request.log.debug({ code: failure.code }, failure.message);
  void reply.headers({ 'x-request-id': request.id, ...headers });
  if (status === 503) void reply.header('retry-after', retryAfterSecs);
  if (endsConnection.has(failure.code)) void reply.header('connection', 'close');
  await reply.code(status).type('application/json; charset=utf-8').serializer(JSON.stringify).send(body);
}

/** Codes after which nothing more is read from a client. */
const endsConnection = new Set(['shutting_down', 'payload_too_large', 'request_timeout']);

/** Answers requests that Node's parser gave up on; there is nothing but the socket, and no id yet. */
export function parserFailureSender(refusal: Refusal) {
  return (error: NodeJS.ErrnoException, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || !socket.writable || isOfTls(error)) {
      socket.destroy();
      return;
    }
    const { status, body } = refusal(translateParserError(error));
    const text = JSON.stringify(body);
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n` +
        'Content-Type: application/json; charset=utf-8\r\n' +
        `X-Request-Id: ${newRequestId()}\r\n` +
        `Content-Length: ${Buffer.byteLength(text)}\r\n` +
        `Connection: close\r\n\r\n${text}`,
    );
  };
}

/** A handshake that failed leaves nothing to answer over. */
const isOfTls = ({ code = '' }: NodeJS.ErrnoException): boolean =>
  code === 'EPROTO' || /^ERR_(SSL|TLS)_/.test(code);

function translate(error: unknown, request: FastifyRequest): BoughError {
  if (isBoughError(error)) return error;
  if (isOutOfFiles(error)) return new BoughError('too_many_open_files', undefined, { cause: error });
  const { code = '', statusCode } = error as Partial<FastifyError>;
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new BoughError(
        'payload_too_large',
        { limitBytes: request.routeOptions.bodyLimit },
        { cause: error },
      );
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new BoughError(
        'unsupported_media_type',
        { contentType: request.headers['content-type'] ?? '' },
        { cause: error },
      );
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new BoughError(
        'malformed_http',
        { problem: 'the body is not as long as announced' },
        { cause: error },
      );
    case 'FST_ERR_BAD_URL':
      return new BoughError('malformed_http', { problem: 'its path is not a valid URL' }, { cause: error });
    case 'ECONNRESET':
      return new BoughError('malformed_http', { problem: 'the connection was lost' }, { cause: error });
  }
  // The framework's remaining refusals blame the request as well; its messages name only the request.
  if (code.startsWith('FST_ERR_') && statusCode !== undefined && statusCode < 500) {
    return new BoughError('malformed_http', { problem: (error as FastifyError).message }, { cause: error });
  }
  return new BoughError('internal', { requestId: request.id }, { cause: error });
}

function translateParserError(error: NodeJS.ErrnoException): BoughError {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new BoughError('headers_too_large');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new BoughError('request_timeout');
    default:
      return new BoughError('malformed_http', { problem: 'it is not valid HTTP' });
  }
}
