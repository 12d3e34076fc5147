/**
 * Which port of which sandbox a request is for: by its path, `/s/{id}/p/{port}/…`; by its Host, `{port}-{id}.…`; or by the headers
 * `bough-sandbox` and `bough-port`. The latter two become the first before anything else looks at the path.
 *
 * By Host is for browsers: each port is an origin of its own, and neither another port's nor the daemon's. On loopback only names below
 * `localhost` count, which nobody can make mean anything else; elsewhere there is a token.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/** Path of a request for a port, as it is registered. */
export const PORT_PATH = '/s/:id/p/:port';

const hostPattern = /^(\d{1,5})-([a-z0-9][a-z0-9_-]{0,62})\.([a-z0-9.-]+?)\.?(?::\d{1,5})?$/;

/** The path of what a request asks for, if that is a port. */
export function portUrl({ url = '', headers }: IncomingMessage, isLoopback: boolean): string | undefined {
  const { 'bough-sandbox': id, 'bough-port': port } = headers;
  const ofHost = prefixOfHost(headers, isLoopback);
  if (ofHost !== undefined) return ofHost + url;
  if (typeof id === 'string' && typeof port === 'string')
    return `/s/${encodeURIComponent(id)}/p/${encodeURIComponent(port)}${url}`;
  return url.startsWith('/s/') ? url : undefined;
}

/** The path that stands for all others of a port that the Host names. */
export function prefixOfHost({ host = '' }: IncomingHttpHeaders, isLoopback: boolean): string | undefined {
  const [, ofHost = '', sandbox = '', suffix = ''] = hostPattern.exec(host.toLowerCase()) ?? [];
  if (ofHost === '' || (isLoopback && suffix !== 'localhost' && !suffix.endsWith('.localhost')))
    return undefined;
  return `/s/${sandbox}/p/${ofHost}`;
}

/** What the guest's program is asked for; undefined where a path ends with the port, and relative links would miss it. */
export function guestPath(url: string): string | undefined {
  const rest = /^\/s\/[^/?]+\/p\/[^/?]+(.*)$/s.exec(url)?.[1] ?? '';
  return rest.startsWith('/') ? rest : undefined;
}
