/**
 * A scripted pager on a Unix socket: the one fake of this protocol.
 *
 * Like the real one it answers one request at a time: it reads the next only after the last answer to the one before. A script gets
 * the request and gives the answer lines, or undefined to leave the client waiting; `send` says anything, sane or not.
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { parseAnswer, type PagerMessage } from '../../src/pager/protocol.js';

export type PagerScript = (request: PagerMessage) => readonly string[] | undefined;

export class FakePager {
  /** Every request line received, in order. */
  readonly received: string[] = [];
  readonly socketPath: string;
  readonly #script: PagerScript;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(socketPath: string, script: PagerScript) {
    this.socketPath = socketPath;
    this.#script = script;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async listen(socketPath: string, script: PagerScript): Promise<FakePager> {
    const fake = new FakePager(socketPath, script);
    fake.#server.listen(socketPath);
    await once(fake.#server, 'listening');
    return fake;
  }

  /** Sends text as it is to every client. */
  send(raw: string): void {
    for (const socket of this.#sockets) socket.write(raw);
  }

  /** Ends every connection, as a dying VMM would, and listens no more. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    createInterface(socket)
      .on('line', (line) => {
        this.received.push(line);
        for (const answer of this.#script(parseAnswer(line)) ?? []) socket.write(`${answer}\n`);
      })
      .on('error', () => socket.destroy());
  }
}

/** Says what a pager with 4 MiB of RAM says whose guest writes nothing; a folder that is not there holds no layer. */
export function idleGuest(): PagerScript {
  let isMapped = false;
  const mapAnswer = (): string => {
    if (isMapped) return fail(114, 'map RAM');
    isMapped = true;
    return 'ok\tram_bytes=4194304\tmapped_runs=0';
  };
  const branchAnswers = (request: PagerMessage): string[] => {
    if (!isMapped) return [fail(6, 'find RAM, which is not mapped')];
    if (request.fields.get('layer')?.includes('/absent/') === true) return [fail(2, 'create the layer')];
    const times = 'pause_us=9 events_us=0 stop_us=1 scan_us=1 copy_us=1 tail_us=0 state_us=6 precopy_us=5';
    const counts =
      'precopied_pages=2 passes=1 residue_pages=0 armed_pages=0 arm_errno=0 tail_bytes=0 windows=1 switches=0';
    return [
      `running\t${`${times} ${counts}`.replaceAll(' ', '\t')}`,
      'ok\tcaptured_bytes=8192\tsweep_us=0\tfaults=0\truns=0:1000,3000:1000',
    ];
  };
  return (request) => {
    if (request.word === 'hello') return ['ok\tversion=2\tpage_bytes=4096\ttracking=async'];
    if (request.word === 'map') return [mapAnswer()];
    return request.word === 'branch' ? branchAnswers(request) : [fail(38, 'read the request')];
  };
}

function fail(errno: number, operation: string): string {
  return `error\terrno=${errno}\toperation=${operation}`;
}
