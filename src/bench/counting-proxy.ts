/** Between a client and a server on the loopback: counts what goes through. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface CountingProxy {
  /** `127.0.0.1:<port>`. */
  readonly address: string;
  /** Bytes from the client, and from the server, since they were last taken. */
  take(): { sentBytes: number; gotBytes: number };
  close(): Promise<void>;
}

/** To `address`, which is `host:port`. */
export async function countingProxy(address: string): Promise<CountingProxy> {
  const [host = '', port] = address.split(':');
  const counts = { sentBytes: 0, gotBytes: 0 };
  const sockets = new Set<Socket>();
  const keep = (socket: Socket, other: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => other.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      // What has come from the one goes out to the other still.
      other.end();
    });
  };
  const server = createServer((client) => {
    const upstream = connect(Number(port), host);
    keep(client, upstream);
    keep(upstream, client);
    client.on('data', (bytes) => (counts.sentBytes += bytes.length));
    upstream.on('data', (bytes) => (counts.gotBytes += bytes.length));
    client.pipe(upstream);
    upstream.pipe(client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = { ...counts };
      Object.assign(counts, { sentBytes: 0, gotBytes: 0 });
      return taken;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
