/** A name server on the loopback that knows the names it is given, and none besides. Counts what it was asked. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const HEADER_BYTES = 12;
const ADDRESS_RECORD = [0xc0, HEADER_BYTES, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4];

export class NameServer {
  readonly asked: string[] = [];
  readonly #socket: Socket;

  private constructor(names: Readonly<Record<string, string>>, socket: Socket) {
    this.#socket = socket;
    socket.on('message', (query, from) => {
      const { name, end } = nameIn(query);
      this.asked.push(name);
      const address = names[name];
      const answers = address === undefined ? [] : [...ADDRESS_RECORD, ...address.split('.').map(Number)];
      const flags = [0x81, address === undefined ? 0x83 : 0x80];
      const header = [...query.subarray(0, 2), ...flags, 0, 1, 0, address === undefined ? 0 : 1, 0, 0, 0, 0];
      const answer = [...header, ...query.subarray(HEADER_BYTES, end + 4), ...answers];
      socket.send(Buffer.from(answer), from.port, from.address);
    });
  }

  static async open(names: Readonly<Record<string, string>>): Promise<NameServer> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new NameServer(names, socket);
  }

  /** As `dns.setServers` takes it. */
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  close(): void {
    this.#socket.close();
  }
}

function nameIn(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}
