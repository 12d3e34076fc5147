/**
 * A connection whose requests are given secrets: TLS ends here, with a certificate for its name, and begins anew to the real one.
 *
 *   guest ── TLS, our authority ──▶ parsed, judged, written anew ── TLS, verified for the name ──▶ the name
 *
 * One connection here is one there, in the protocol that the client offers and the server takes; nothing is shared with other
 * connections. Where the server cannot be trusted, requests are answered here, with the reason.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect as tlsConnect, type SecureContext, type TLSSocket } from 'node:tls';
import { messageOf } from '../../base/index.js';
import { tlsHello, type ClientHello } from './first-words.js';
import { GuestStream } from './guest-stream.js';
import { serveHttp1, type Opened } from './http1.js';
import { serveHttp2 } from './http2.js';
import { judgeRequest, type AskedRequest, type OpenedFor, type RequestVerdict } from './judged-request.js';

const HANDSHAKE_TIMEOUT_MS = 10_000;
const SPOKEN = ['h2', 'http/1.1'];

export interface InterceptOptions {
  readonly target: OpenedFor;
  readonly contextFor: (name: string) => Promise<SecureContext>;
  /** Whom this host trusts, as `tls.connect` takes it. */
  readonly trust: readonly string[];
  /** As of `splice`. */
  readonly beforeEnd: (done: () => void) => void;
  /** Told of each request before it is passed on; false where it must not be. */
  readonly onRequest: (asked: AskedRequest, verdict: RequestVerdict) => boolean;
  /** Told why a connection is cut. */
  readonly onCut: (why: string) => void;
}

/** Both sockets are connected, and belong to this from here on. */
export async function intercept(guest: Socket, world: Socket, options: InterceptOptions): Promise<void> {
  guest.once('close', () => world.destroy());
  try {
    const { protocols } = await helloFor(guest, options.target.name);
    const context = await options.contextFor(options.target.name);
    const up = await secured(world, protocols, options);
    const problem = 'problem' in up ? up.problem : undefined;
    const side = 'problem' in up ? undefined : up.socket;
    const serve = (side?.alpnProtocol ?? protocols[0]) === 'h2' ? serveHttp2 : serveHttp1;
    serve(new GuestStream(guest, options.beforeEnd), context, side, openedBy(options, problem));
  } catch (error) {
    options.onCut(messageOf(error));
    guest.destroy();
  }
}

/** What the client says first, which is left to be read again. Throws for what is for another name, or no HTTP. */
async function helloFor(guest: Socket, name: string): Promise<{ protocols: string[] }> {
  const hello = await readHello(guest);
  if (hello === 'none' || hello === 'more') throw new Error('the client says no name');
  if (hello.name !== name) throw new Error(`the client says ${hello.name}`);
  const protocols = SPOKEN.filter((protocol) => hello.protocols.includes(protocol));
  if (hello.protocols.length > 0 && protocols.length === 0)
    throw new Error(`the client speaks ${hello.protocols.join(', ')}, which no secret can be put into`);
  return { protocols: protocols.length === 0 ? ['http/1.1'] : protocols };
}

async function readHello(guest: Socket): Promise<ClientHello> {
  let said = Buffer.alloc(0);
  let hello: ClientHello = 'more';
  while (hello === 'more') {
    const chunk = (guest.read() as Buffer | null) ?? undefined;
    if (chunk === undefined) {
      if (guest.readableEnded || guest.destroyed) return 'none';
      await Promise.race([once(guest, 'readable'), once(guest, 'end'), once(guest, 'close')]);
      continue;
    }
    said = Buffer.concat([said, chunk]);
    hello = tlsHello(said);
  }
  guest.unshift(said);
  return hello;
}

async function secured(
  world: Socket,
  protocols: string[],
  { target, trust }: InterceptOptions,
): Promise<{ socket: TLSSocket } | { problem: string }> {
  // TLS has no halves: what the other side ends has ended.
  world.allowHalfOpen = false;
  const socket = tlsConnect({
    ...{ socket: world, servername: target.name, ALPNProtocols: protocols, ca: [...trust] },
    minVersion: 'TLSv1.2',
  });
  const timer = setTimeout(() => socket.destroy(new Error('it does not answer')), HANDSHAKE_TIMEOUT_MS);
  try {
    await once(socket, 'secureConnect');
    socket.on('error', () => undefined); // as 'close' has it
    return { socket };
  } catch (error) {
    socket.on('error', () => undefined);
    socket.destroy();
    return { problem: `${target.name} cannot be trusted: ${messageOf(error)}` };
  } finally {
    clearTimeout(timer);
  }
}

function openedBy({ target, onRequest, onCut }: InterceptOptions, problem: string | undefined): Opened {
  return {
    target,
    onNonsense: onCut,
    judge: (asked) => {
      const verdict = problem === undefined ? judgeRequest(asked, target) : { status: 502, problem };
      return onRequest(asked, verdict) ? verdict : { status: 502, problem: 'the log cannot be written' };
    },
  };
}
