/** Headers on their way to a guest's program and back: without those of one connection, and without ours. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/** Of one connection only, as HTTP has it. */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
];

/** A token for the daemon where `Authorization` is for the guest's program. */
export const OWN_AUTHORIZATION = 'bough-authorization';

const ours = [OWN_AUTHORIZATION, 'bough-sandbox', 'bough-port'];

/** Names that are not to be passed on of these headers. `isGuarded`: a token is asked for. */
export function withheld(headers: IncomingHttpHeaders, isGuarded: boolean): Set<string> {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  const isToken = isGuarded && headers[OWN_AUTHORIZATION] === undefined;
  return new Set([...hopByHop, ...named, ...ours, ...(isToken ? ['authorization'] : [])]);
}

/** What a program of the guest is sent. */
export function requestHeaders(headers: IncomingHttpHeaders, isGuarded: boolean): OutgoingHttpHeaders {
  const kept = without(headers, withheld(headers, isGuarded));
  // Or a body of no known length would follow a GET as if it were another request.
  return headers['transfer-encoding'] === undefined ? kept : { ...kept, 'transfer-encoding': 'chunked' };
}

/**
 * What a client is sent. A page that has the daemon's origin must not act as one of the daemon's: it gets an origin of nobody.
 */
export function answerHeaders(headers: IncomingHttpHeaders, hasOwnOrigin: boolean): OutgoingHttpHeaders {
  const kept = without(headers, withheld(headers, false));
  if (hasOwnOrigin) return kept;
  const policies = [
    kept['content-security-policy'],
    'sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads',
  ];
  return { ...kept, 'content-security-policy': policies.filter((each) => each !== undefined).join(', ') };
}

function without(headers: IncomingHttpHeaders, names: ReadonlySet<string>): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.has(name)));
}
