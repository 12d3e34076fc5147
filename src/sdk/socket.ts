/** A WebSocket, wherever the program runs: the runtime's own, or one that the program gives. */

import { isBrowser } from './environment.js';
import { BoughUnreachable } from './errors.js';

/**
 * What is used of a WebSocket. The global one of browsers, Deno, Bun and Node 22 is such, and that of the package `ws`.
 *
 * @example
 * ```ts
 * const end = (socket: WebSocketLike): void => socket.close();
 * console.log(typeof end); // function
 * ```
 */
export interface WebSocketLike {
  /** How messages come; set to `arraybuffer`. */
  binaryType: string;
  /** How many bytes of messages have not left yet. Where it is not told, who sends is not slowed down. */
  readonly bufferedAmount?: number;
  /** Sends a message. */
  send(data: Uint8Array<ArrayBuffer>): void;
  /** Receives no more until `resume`. Where that is not possible, what is not read yet piles up. */
  pause?(): void;
  /** Likewise. */
  resume?(): void;
  /** Ends it. */
  close(): void;
  /** Calls back with what comes and when it ends. */
  addEventListener(type: 'open' | 'error', listener: () => void): void;
  /** Likewise. */
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  /** Likewise. */
  addEventListener(
    type: 'close',
    listener: (event: { readonly code: number; readonly reason: string }) => void,
  ): void;
}

/**
 * Begins to open a WebSocket that sends such headers with its first request.
 *
 * @example
 * ```ts
 * // With that of the package `ws`: (url, headers) => new WebSocket(url, { headers })
 * const webSocket: OpenSocket = (url) => new WebSocket(url);
 * console.log(new Bough({ webSocket }).transport.url.startsWith('http')); // true
 * ```
 */
export type OpenSocket = (url: string, headers: Readonly<Record<string, string>>) => WebSocketLike;

/** Of Node, Deno and Bun it takes headers; a browser's takes protocols and no more. */
type OwnWebSocket = new (
  url: string,
  more?: { readonly headers: Readonly<Record<string, string>> } | readonly string[],
) => WebSocketLike;

declare const WebSocket: OwnWebSocket | undefined;

const own: OpenSocket = (url, headers) => {
  if (typeof WebSocket === 'undefined')
    throw new TypeError('This runtime has no WebSocket: give one as `webSocket`');
  const { authorization } = headers;
  if (authorization === undefined) return new WebSocket(url);
  return new WebSocket(url, isBrowser() ? protocolsFor(authorization) : { headers });
};

/** The daemon agrees to the first of them; the other is the token, in letters that a protocol may have. */
function protocolsFor(authorization: string): readonly string[] {
  const token = btoa(authorization.replace(/^Bearer /, ''));
  return ['bough', `bough.token.${token.replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')}`];
}

/**
 * Whom a WebSocket tells what comes. It is there before the WebSocket is open, since messages may come with that.
 *
 * @example
 * ```ts
 * const closed: number[] = [];
 * const listener: SocketListener = { onMessage: () => undefined, onClose: (code) => closed.push(code) };
 * listener.onClose(1000, '');
 * console.log(closed); // [ 1000 ]
 * ```
 */
export interface SocketListener {
  /** A message. */
  onMessage(bytes: Uint8Array): void;
  /** The end; nothing follows. */
  onClose(code: number, reason: string): unknown;
}

/** Where to. */
export interface SocketTarget {
  /** The WebSocket's. */
  readonly target: string;
  /** Sent with its first request. */
  readonly headers: Readonly<Record<string, string>>;
  /** The daemon's, for errors. */
  readonly url: string;
  /** Ends it, also later. */
  readonly signal?: AbortSignal | undefined;
}

/** Resolves with an open one; rejects with BoughUnreachable or the signal's reason. The signal ends it later, too. */
export async function openSocket(
  { target, headers, url, signal }: SocketTarget,
  listener: SocketListener,
  open: OpenSocket = own,
): Promise<WebSocketLike> {
  signal?.throwIfAborted();
  const socket = open(target, headers);
  socket.binaryType = 'arraybuffer';
  const close = (): void => socket.close();
  signal?.addEventListener('abort', close, { once: true });
  socket.addEventListener('message', ({ data }) => {
    if (data instanceof ArrayBuffer) listener.onMessage(new Uint8Array(data));
  });
  const isOpen = await new Promise<boolean>((resolve) => {
    socket.addEventListener('open', () => resolve(true));
    socket.addEventListener('error', () => resolve(false));
    socket.addEventListener('close', ({ code, reason }) => {
      signal?.removeEventListener('abort', close);
      listener.onClose(code, reason);
      resolve(false);
    });
  });
  signal?.throwIfAborted();
  if (!isOpen) throw new BoughUnreachable(url, 'no WebSocket could be opened');
  return socket;
}
