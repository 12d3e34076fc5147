/**
 * HTTP/1.1 on an opened connection: each request is parsed, judged, and written anew to the one connection behind it, in order.
 *
 * The parser is Node's in its strict form: what has two lengths, a length and chunks, or a folded header is refused as a whole, with the
 * connection. A body is framed as it came, never left without a frame.
 *
 * Not handled: trailers, and answers before the last one other than 100.
 */
import {
  Agent,
  request as httpRequest,
  ServerResponse,
  STATUS_CODES,
  type ClientRequest,
  type IncomingMessage,
} from 'node:http';
import { createServer } from 'node:https';
import { pipeline, type Duplex } from 'node:stream';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { GuestStream } from './guest-stream.js';
import { endToEnd, injected } from './headers.js';
import {
  authorityOf,
  type AskedRequest,
  type OpenedFor,
  type Refusal,
  type RequestVerdict,
} from './judged-request.js';

/** Requests that a connection may have made before the first of them is answered: each takes memory of all sandboxes' egress. */
const MAX_UNANSWERED = 128;
const IMPASSABLE: Refusal = { status: 400, problem: 'the request cannot be passed on' };
const IMPASSABLE_ANSWER: Refusal = { status: 502, problem: 'the answer cannot be passed on' };
const NO_WEBSOCKET: Refusal = { status: 400, problem: 'only WebSockets are upgraded to' };

export interface Opened {
  readonly target: OpenedFor;
  readonly judge: (asked: AskedRequest) => RequestVerdict;
  /** Told of what is no HTTP; the connection is cut then. */
  readonly onNonsense: (why: string) => void;
}

/** Serves `guest`, on which TLS has not begun, until either side ends. Without `world` nothing may be passed on. */
export function serveHttp1(
  guest: GuestStream,
  context: SecureContext,
  world: TLSSocket | undefined,
  opened: Opened,
): void {
  const cut = (why?: string): void => {
    if (why !== undefined) opened.onNonsense(why);
    guest.destroy();
  };
  const server = createServer({
    ...{ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 },
    ALPNProtocols: ['http/1.1'],
    SNICallback: (_name, done) => done(null, context),
  });
  const passing = new Passing(world, opened, cut);
  server.on('secureConnection', (socket) => passing.begin(socket));
  server.on('request', (request, response) => passing.request(request, response));
  server.on('upgrade', (request, socket, head) => passing.upgrade(request, socket, head));
  server.on('connect', () => cut('it asks for a tunnel'));
  server.on('clientError', ({ code = '' }: NodeJS.ErrnoException) =>
    cut(code.startsWith('HPE_') ? `what it says is no HTTP/1.1: ${code}` : undefined),
  );
  server.on('tlsClientError', ({ message }) => cut(`its TLS cannot be: ${message}`));
  guest.once('close', () => world?.destroy());
  server.emit('connection', guest);
}

class Passing {
  #guest: TLSSocket | undefined;
  readonly #world: TLSSocket | undefined;
  readonly #opened: Opened;
  readonly #cut: (why: string) => void;
  readonly #agent: Agent;
  #underWay = 0;
  /** One was refused: the connection ends with that answer, and what was said after it is not taken. */
  #isOver = false;

  constructor(world: TLSSocket | undefined, opened: Opened, cut: (why: string) => void) {
    this.#world = world;
    this.#opened = opened;
    this.#cut = cut;
    this.#agent = agentOf(world);
    world?.once('close', () => this.#endIfDone());
  }

  begin(guest: TLSSocket): void {
    this.#guest = guest;
    this.#endIfDone();
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    if (this.#isOver) return;
    if (this.#underWay === MAX_UNANSWERED) {
      this.#isOver = true;
      this.#cut(`it asks for more while ${MAX_UNANSWERED} requests have no answer`);
      return;
    }
    this.#underWay++;
    response.once('close', () => {
      this.#underWay--;
      this.#endIfDone();
    });
    const up = this.#begin(request, {});
    if ('problem' in up) {
      this.#refuse(response, up);
      return;
    }
    passAnswer(up, response);
    response.once('close', () => {
      if (!response.writableFinished) up.destroy();
    });
    if (hasBody(request)) pipeline(request, up, () => undefined);
    else up.end();
  }

  /** A WebSocket, from which on the connection is one of bytes. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#isOver) return;
    this.#underWay++;
    socket.on('error', () => undefined); // as 'close' has it
    const response = new ServerResponse(request);
    response.assignSocket(request.socket);
    response.shouldKeepAlive = false;
    response.once('finish', () => socket.end());
    const isWebSocket = request.headers.upgrade?.toLowerCase() === 'websocket' && !hasBody(request);
    const headers = { connection: 'Upgrade', upgrade: 'websocket' };
    const up = isWebSocket ? this.#begin(request, headers) : NO_WEBSOCKET;
    if ('problem' in up) {
      this.#refuse(response, up);
      return;
    }
    passAnswer(up, response);
    up.once('upgrade', (reply, world, worldHead) => {
      response.detachSocket(request.socket);
      socket.write(headOf(reply));
      socket.write(worldHead);
      world.write(head);
      pipeline(socket, world, () => undefined);
      pipeline(world, socket, () => undefined);
    });
    up.end();
  }

  #refuse(response: ServerResponse, refusal: Refusal): void {
    this.#isOver = true;
    refuse(response, refusal);
  }

  /** The request on its way, or why it is not. */
  #begin(request: IncomingMessage, more: Readonly<Record<string, string>>): ClientRequest | Refusal {
    const { method = '', url = '', headersDistinct } = request;
    const { judge, target } = this.#opened;
    const verdict = judge({ method, path: url, authorities: headersDistinct['host'] ?? [] });
    if (!('injections' in verdict)) return verdict;
    const framing = isChunked(request) ? { 'transfer-encoding': 'chunked' } : {};
    const headers = { ...endToEnd(headersDistinct), host: authorityOf(target), ...framing, ...more };
    try {
      return httpRequest({
        ...{ agent: this.#agent, method, path: url, setHost: false },
        headers: injected(headers, verdict.injections),
      });
    } catch {
      return IMPASSABLE; // Node's parser takes what its writer does not
    }
  }

  #endIfDone(): void {
    if (this.#underWay === 0 && this.#world?.destroyed === true) this.#guest?.end();
  }
}

/** Of the one connection. Who asks for another one when that has ended is told so. */
function agentOf(world: TLSSocket | undefined): Agent {
  let isTaken = world === undefined;
  return Object.assign(new Agent({ keepAlive: true, maxSockets: 1 }), {
    createConnection: (_options: unknown, made: (error: Error | null, socket?: TLSSocket) => void) => {
      if (isTaken) made(new Error('The connection has ended'));
      else made(null, world);
      isTaken = true;
    },
  });
}

function isChunked({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined;
}

function hasBody(request: IncomingMessage): boolean {
  return isChunked(request) || request.headers['content-length'] !== undefined;
}

function passAnswer(up: ClientRequest, response: ServerResponse): void {
  up.once('response', (reply) => answer(reply, response));
  up.once('error', () => fail(response));
  // Of an upgrade that nobody asked for, nothing else is told.
  up.once('close', () => {
    if (!response.headersSent && !isUpgraded(response)) fail(response);
  });
}

/** Its connection belongs to what it was upgraded to. */
const isUpgraded = ({ socket }: ServerResponse): boolean => socket === null;

function answer(reply: IncomingMessage, response: ServerResponse): void {
  response.sendDate = false;
  const headers = endToEnd(reply.headersDistinct);
  try {
    response.writeHead(reply.statusCode ?? 502, reply.statusMessage, headers);
  } catch {
    // Node's parser takes what its writer does not.
    reply.destroy();
    refuse(response, IMPASSABLE_ANSWER);
    return;
  }
  response.flushHeaders();
  // One that is cut short is cut short for the guest too.
  pipeline(reply, response, () => undefined);
}

/** The other side has gone. An answer that was begun is cut. */
function fail(response: ServerResponse): void {
  if (response.headersSent) response.destroy();
  else refuse(response, { status: 502, problem: 'the other side ended the connection' });
}

function refuse(response: ServerResponse, { status, problem }: Refusal): void {
  if (response.headersSent) return;
  response.writeHead(status, STATUS_CODES[status], { 'content-type': 'text/plain', connection: 'close' });
  response.end(`bough: ${problem}\n`);
}

function headOf({ statusMessage = '', rawHeaders }: IncomingMessage): string {
  const lines = rawHeaders.flatMap((name, at) =>
    at % 2 === 0 ? [`${name}: ${rawHeaders[at + 1] ?? ''}\r\n`] : [],
  );
  return `HTTP/1.1 101 ${statusMessage}\r\n${lines.join('')}\r\n`;
}
