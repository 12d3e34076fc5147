/**
 * Every failure becomes one shape: `{error, code, details?}`.
 *
 * What fastify and Node's HTTP parser refuse by themselves is translated into the catalogue here; anything
 * unknown is `internal`, logged in full and answered without a word of it.
 */

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { BoughError, isBoughError, statusOf, type RouteDefinition } from '../contract/index.js';
import { isOutOfFiles } from '../sandbox/host/failures.js';
import { bodyLimitBytes } from './limits.js';
import { newRequestId } from './request-id.js';

const retryAfterSecs = 5;

/** Answers `request` with `error`. */
export async function sendFailure(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const failure = translate(error, request);
  const status = statusOf(failure, request.routeOptions.config.route);
  if (status >= 500 && !reply.raw.destroyed)
    request.log.error({ err: error, code: failure.code }, failure.message);
  else request.log.debug({ code: failure.code }, failure.message);
  void reply.header('x-request-id', request.id);
  if (status === 503) void reply.header('retry-after', retryAfterSecs);
  if (status === 401) void reply.header('www-authenticate', 'Bearer');
  if (failure.code === 'shutting_down' || failure.code === 'payload_too_large') {
    void reply.header('connection', 'close');
  }
  await reply
    .code(status)
    .type('application/json; charset=utf-8')
    .serializer(JSON.stringify)
    .send(failure.toWire());
}

/** Answers a request that Node's parser gave up on; there is nothing but the socket, and no id yet. */
export function sendParserFailure(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const failure = translateParserError(error);
  const body = JSON.stringify(failure.toWire());
  socket.end(
    `HTTP/1.1 ${failure.status} ${STATUS_CODES[failure.status] ?? ''}\r\n` +
      'Content-Type: application/json; charset=utf-8\r\n' +
      `X-Request-Id: ${newRequestId()}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n` +
      `Connection: close\r\n\r\n${body}`,
  );
}

function translate(error: unknown, request: FastifyRequest): BoughError {
  if (isBoughError(error)) return error;
  if (isOutOfFiles(error)) return new BoughError('too_many_open_files', undefined, { cause: error });
  const { code = '', statusCode } = error as Partial<FastifyError>;
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new BoughError('payload_too_large', { limitBytes: bodyLimitBytes }, { cause: error });
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

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route's row in the route table; absent for routes outside it. */
    route?: RouteDefinition;
  }
}
