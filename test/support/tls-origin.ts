/** A web server with certificates of an authority of the test's own, for any name. Notes what it was asked; speaks HTTP/1.1 and HTTP/2. */
import { once } from 'node:events';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { Authority } from '../../src/network/egress/authority.js';

export interface SeenRequest {
  readonly version: string;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

type Answer = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

export class TlsOrigin {
  readonly port: number;
  readonly seen: SeenRequest[] = [];
  /** Connections on which TLS has begun. */
  readonly sockets = new Set<Socket>();
  /** In place of "hello". */
  answer: Answer = (_request, response) => void response.end('hello');
  readonly server: Http2SecureServer;

  private constructor(server: Http2SecureServer) {
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.sockets.delete(socket));
    });
    // One that is cut is not seen.
    server.on('request', (request, response) => void this.#note(request, response).catch(() => undefined));
  }

  static async open(authority: Authority): Promise<TlsOrigin> {
    const server = createSecureServer({
      allowHTTP1: true,
      SNICallback: (name, done) =>
        void authority.contextFor(name).then((context) => done(null, context), done),
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TlsOrigin(server);
  }

  async #note(request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const { httpVersion: version, method, url: path, headers } = request;
    const authority = headers[':authority'] ?? headers.host ?? '';
    this.seen.push({ version, method, path, authority, headers: { ...headers }, body });
    this.answer(request, response);
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}
