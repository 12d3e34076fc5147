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

/** What says where a message ends and whom it is for is never of one connection, whatever its sender names. */
const ofTheMessage = ['content-length', 'host'];

/**
 * What a browser keeps for, or does to, a whole host name, whichever port it was for: the daemon's pages and those of other programs of this
 * machine share it with a port that has no origin of its own.
 */
const ofTheHostName = ['cookie', 'set-cookie', 'clear-site-data', 'strict-transport-security', 'alt-svc'];

/** A token for the daemon where `Authorization` is for the guest's program. */
export const OWN_AUTHORIZATION = 'bough-authorization';

const ours = [OWN_AUTHORIZATION, 'bough-sandbox', 'bough-port'];

/** How a request came, as far as its headers are concerned. */
export interface Way {
  /** A token is asked for. */
  readonly isGuarded: boolean;
  /** Port and sandbox are in its host name. */
  readonly hasOwnOrigin: boolean;
}

/** Whether a browser sent these: the one client that keeps what it is told, and sends it where nobody asked it to. */
export function isBrowser({
  'sec-fetch-site': site,
  'user-agent': agent = '',
}: IncomingHttpHeaders): boolean {
  return site !== undefined || agent.startsWith('Mozilla/');
}

/** Names of a request's headers that are not to be passed on. */
export function withheld(headers: IncomingHttpHeaders, { isGuarded, hasOwnOrigin }: Way): Set<string> {
  const isToken = isGuarded && headers[OWN_AUTHORIZATION] === undefined;
  const isShared = !hasOwnOrigin && isBrowser(headers);
  return new Set([
    ...ofOneConnection(headers),
    ...ours,
    ...(isToken ? ['authorization'] : []),
    ...(isShared ? ofTheHostName : []),
  ]);
}

function ofOneConnection({ connection = '' }: IncomingHttpHeaders): Set<string> {
  const names = new Set([...hopByHop, ...connection.split(',').map((name) => name.trim().toLowerCase())]);
  for (const name of ofTheMessage) names.delete(name);
  return names;
}

/** What a program of the guest is sent. */
export function requestHeaders(headers: IncomingHttpHeaders, way: Way): OutgoingHttpHeaders {
  const kept = without(headers, withheld(headers, way));
  // Or a body of no known length would follow a GET as if it were another request.
  return headers['transfer-encoding'] === undefined ? kept : { ...kept, 'transfer-encoding': 'chunked' };
}

/**
 * What whoever sent `asked` is sent. A page that has the daemon's origin must not act as one of the daemon's: it gets an origin of nobody.
 */
export function answerHeaders(
  headers: IncomingHttpHeaders,
  asked: IncomingHttpHeaders,
  { hasOwnOrigin }: Way,
): OutgoingHttpHeaders {
  const kept = without(headers, new Set([...ofOneConnection(headers), ...ours]));
  if (hasOwnOrigin) return kept;
  const policies = [
    kept['content-security-policy'],
    'sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads',
  ];
  const shown = isBrowser(asked) ? without(kept, new Set(ofTheHostName)) : kept;
  return { ...shown, 'content-security-policy': policies.filter((each) => each !== undefined).join(', ') };
}

function without(
  headers: IncomingHttpHeaders | OutgoingHttpHeaders,
  names: ReadonlySet<string>,
): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.has(name)));
}
