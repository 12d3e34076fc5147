/** What a guest's TCP alone takes: a listener of this host that counts what one program of a guest sends it, and does nothing else with it. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { ResourceStack } from '../base/index.js';
import { HOST_ADDRESS } from '../network/index.js';

const PIECE_BYTES = 64 * 1024;

export interface TcpSink {
  /** Python that sends so many bytes, a multiple of 64 KiB, out of a guest that reaches this host. */
  readonly program: (bytes: number) => string;
  /** The bytes of the next connection, once it has ended. */
  readonly received: () => Promise<number>;
}

/** Listens until `resources` are closed. */
export async function openTcpSink(resources: ResourceStack): Promise<TcpSink> {
  const server = createServer().listen(0, '127.0.0.1');
  resources.defer(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    program: (bytes) =>
      [
        'import socket',
        `with socket.create_connection(("${HOST_ADDRESS}", ${port})) as sink:`,
        `    for _ in range(${bytes / PIECE_BYTES}): sink.sendall(bytes(${PIECE_BYTES}))`,
      ].join('\n'),
    async received() {
      const [socket] = (await once(server, 'connection')) as [Socket];
      let bytes = 0;
      for await (const piece of socket as AsyncIterable<Buffer>) bytes += piece.length;
      return bytes;
    },
  };
}
