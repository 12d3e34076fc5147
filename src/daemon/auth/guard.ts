/**
 * Who may call, and what: the Host header, the token and its scope, checked before the body is read and before anything is
 * validated.
 *
 * On loopback a browser can be tricked (DNS rebinding) into calling the daemon under another name; its Host
 * header gives that away.
 */

import type { IncomingHttpHeaders } from 'node:http';
import { BoughError, covers, type Scope } from '../../contract/index.js';
import type { ListenAddress } from '../config.js';
import type { Caller, Keyring } from './keyring.js';
import type { AllowedOrigins } from './origins.js';

const loopbackNames = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Throws `host_not_allowed`, or `malformed_http` when there is no Host header. */
export function checkHostHeader(headers: IncomingHttpHeaders, listen: ListenAddress): void {
  const host = headers.host;
  if (host === undefined || host === '')
    throw new BoughError('malformed_http', { problem: 'it has no Host header' });
  if (!listen.isLoopback) return;
  const name = host.replace(/:\d{1,5}$/, '').toLowerCase();
  if (!loopbackNames.has(name) && name !== listen.host) throw new BoughError('host_not_allowed');
}

const ownPages = new Set(['same-origin', 'none']);

/**
 * A page of another site may open a socket, send bytes, or post without a body with a browser that asks nobody first; what such a request
 * comes from is in its Origin header, and in Sec-Fetch-Site where there is no Origin. Following a link is no harm. No other client sends
 * either. Throws `origin_not_allowed`, unless its origin is one of `allowed`.
 */
export function checkOrigin(
  { origin, host, ...headers }: IncomingHttpHeaders,
  allowed: AllowedOrigins,
): void {
  if (origin !== undefined && allowed.has(origin)) return;
  if (origin !== undefined && origin.replace(/^https?:\/\//, '') !== host)
    throw new BoughError('origin_not_allowed');
  const site = headers['sec-fetch-site'];
  if (site === undefined || ownPages.has(site) || headers['sec-fetch-mode'] === 'navigate') return;
  throw new BoughError('origin_not_allowed');
}

/** Who sends the request. Throws `unauthorized` where a token is needed and not there. */
export function callerOf(headers: IncomingHttpHeaders, keyring: Keyring): Caller {
  if (!keyring.isGuarded) return keyring.anonymous;
  const match = /^Bearer +([\x21-\x7e]+) *$/i.exec(headers.authorization ?? '');
  // An absent token is checked like a wrong one, so that both take the same time.
  const caller = keyring.callerOf(match?.[1] ?? '');
  if (match === null || caller === undefined) throw new BoughError('unauthorized');
  return caller;
}

const TOKEN_PROTOCOL = /^bough\.token\.([\w-]+)$/;

/** What a client sends that can send no header with a WebSocket, which is every browser: the token as one of the protocols it offers. */
export function offeredAuthorization(headers: IncomingHttpHeaders): string | undefined {
  const offered = (headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((name) => TOKEN_PROTOCOL.exec(name.trim())?.[1]);
  const encoded = offered.find((each) => each !== undefined);
  return encoded === undefined ? undefined : `Bearer ${Buffer.from(encoded, 'base64url').toString('latin1')}`;
}

/** Throws `scope_missing` where a caller may do less than it takes. */
export function checkScope({ principal, scope }: Caller, needed: Scope): void {
  if (!covers(scope, needed)) throw new BoughError('scope_missing', { token: principal, scope, needed });
}
