/** Ports of a real guest, programs of its users, and what it says that it uses. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { isBoughError } from '../../src/contract/index.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';

const PORT = 8080;
/** Gives back what comes, each connection to its end, and writes down how it ended. */
const ECHO = `
import socket, threading
def serve(connection):
    try:
        while (piece := connection.recv(65536)):
            connection.sendall(piece)
        end = 'in good order'
    except OSError as error:
        end = type(error).__name__
    connection.close()
    print(end, flush=True)
listener = socket.create_server(('127.0.0.1', ${PORT}), backlog=256)
print('listening', flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],)).start()
`;

describe('a port of a guest', { timeout: 300_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('ports');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  const startEcho = async ({ id }: Guest): Promise<number> => {
    const { pid } = await lab.host.processes.start(id, { args: ['python3', '-c', ECHO] }, ownCall());
    await printed({ id, pid }, 'listening');
    return pid;
  };
  /** Waits until a process has printed that. */
  const printed = async (which: { id: string; pid: number }, words: string): Promise<void> => {
    let all = '';
    for await (const event of lab.host.processes.output(which, { follow: true }, ownCall())) {
      if (event.type === 'stdout') all += event.bytes.toString();
      if (all.includes(words)) return;
    }
    assert.fail(`the process ended with ${JSON.stringify(all)}`);
  };
  const withPort = <T>(id: string, use: (connection: Duplex) => Promise<T>, port = PORT): Promise<T> =>
    lab.host.withPort({ id, port }, use, ownCall());
  const echoed = (id: string, bytes: Buffer): Promise<boolean> =>
    withPort(id, async (connection) => {
      connection.end(bytes);
      const pieces: Buffer[] = [];
      for await (const piece of connection.iterator({ destroyOnReturn: false })) pieces.push(piece as Buffer);
      return Buffer.concat(pieces).equals(bytes);
    });

  it('carries many connections at once without a lost byte, and refuses where nobody listens', async () => {
    const guest = await lab.spawn();
    await assert.rejects(
      withPort(guest.id, () => Promise.resolve()),
      (error: unknown) => isBoughError(error, 'port_unreachable'),
    );
    await startEcho(guest);
    const all = Array.from({ length: 50 }, (_, seed) =>
      echoed(guest.id, Buffer.alloc(20_000 + seed, `${seed} `)),
    );
    assert.ok((await Promise.all(all)).every(Boolean));
  });

  it('stays open in the source of a branch, and is reset in a child', async () => {
    const source = await lab.spawn();
    const pid = await startEcho(source);
    await withPort(source.id, async (connection) => {
      connection.write('before');
      await once(connection, 'data');
      const child = await lab.spawn(await lab.branch(source));
      await printed({ id: child.id, pid }, 'ConnectionResetError');
      assert.ok(await echoed(child.id, Buffer.from('the server of the child serves')));
      connection.write('after');
      assert.equal(String((await once(connection, 'data'))[0]), 'after');
    });
    await sleep(100);
    await printed({ id: source.id, pid }, 'ConnectionResetError');
  });

  it("runs programs as the image's users, and says what it uses", async () => {
    const guest = await lab.spawn();
    const ran = await lab.host.exec(guest.id, {
      args: ['sh', '-c', 'id -u; id -g; echo $HOME; pwd'],
      user: 'daemon',
    });
    assert.equal(ran.stdout, '1\n1\n/usr/sbin\n/usr/sbin\n');
    const stats = await lab.host.stats(guest.id);
    const { guest: said } = stats;
    assert.ok(
      (said?.memoryTotalBytes ?? 0) > (said?.memoryAvailableBytes ?? Infinity),
      JSON.stringify(stats),
    );
    assert.ok(
      (said?.networkReceivedBytes ?? 0) > 0 && (said?.diskTotalBytes ?? 0) > 0,
      JSON.stringify(stats),
    );
    await lab.host.pause(guest.id);
    assert.equal((await lab.host.stats(guest.id)).guest, undefined);
  });
});
