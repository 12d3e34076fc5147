/** A guest's ports through the agent itself, run as a process of this host. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MiB } from '../base/index.js';
import { claimed, startRealAgent, type RealAgent } from '../../test/support/real-agent.js';
import { AgentClient } from './client.js';
import { AgentRefused } from './errors.js';
import type { PortConnection } from './operations/dial.js';

const SECRET = 'the-first-secret-of-this-guest';

const refused = (code: string) => (error: unknown) => error instanceof AgentRefused && error.code === code;

/** A server of the "guest" that does this with each connection. */
async function withServer<T>(
  serve: (socket: Socket) => void,
  work: (port: number) => Promise<T>,
  host = '127.0.0.1',
): Promise<T> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  });
  server.listen(0, host);
  await once(server, 'listening');
  try {
    return await work((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}

/** Bytes that are not alike for two seeds. */
function pattern(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + seed * 17 + (at >> 8)) & 255;
  return bytes;
}

describe("a guest's port", { timeout: 60_000 }, () => {
  let agent: RealAgent;
  let client: AgentClient;
  let idleDescriptorCount = 0;
  const descriptorCount = async () => (await readdir(`/proc/${agent.pid}/fd`)).length;

  before(async () => {
    agent = await startRealAgent();
    client = await claimed(agent, SECRET);
    await client.waitWarm();
    await delay(100);
    idleDescriptorCount = await descriptorCount();
  });
  after(async () => {
    for (let tries = 0; tries < 50 && (await descriptorCount()) > idleDescriptorCount; tries++)
      await delay(100);
    const left = await descriptorCount();
    await agent.close();
    assert.ok(left <= idleDescriptorCount, `${left - idleDescriptorCount} descriptors of the agent are left`);
  });

  it('is refused at once where nobody listens, and where there is no port', async () => {
    const port = await withServer(
      () => undefined,
      (free) => Promise.resolve(free),
    );
    await assert.rejects(client.dial(port).connected, (error: unknown) => {
      assert.ok(refused('not_connected')(error));
      return /nothing listens on port \d+$/.test((error as AgentRefused).problem);
    });
    for (const wrong of [0, -1, 65_536, 1.5])
      await assert.rejects(client.dial(wrong).connected, refused('bad_request'));
    const stranger = new AgentClient({ host: '127.0.0.1', port: agent.port, secret: 'x'.repeat(32) });
    await assert.rejects(stranger.dial(port).connected, refused('unauthorized'));
  });

  it('carries each direction to its own end', async () => {
    const answerAtEnd = (socket: Socket): void => {
      void heard(socket).then((all) => socket.end(`heard ${all}`));
    };
    await withServer(answerAtEnd, async (port) => {
      const stream = client.dial(port);
      stream.end('all of it');
      assert.equal(await heard(stream), 'heard all of it');
      await closed(stream);
    });
    const speakFirst = (socket: Socket): void => {
      socket.end('goodbye');
      void heard(socket).then((all) => said.push(all));
    };
    const said: string[] = [];
    await withServer(speakFirst, async (port) => {
      const stream = client.dial(port);
      assert.equal(await heard(stream), 'goodbye');
      stream.end('after your end');
      await closed(stream);
      while (said.length === 0) await delay(5);
      assert.deepEqual(said, ['after your end']);
    });
  });

  it('finds what listens on IPv6 only', async () => {
    await withServer(
      (socket) => socket.end('six'),
      async (port) => {
        const stream = client.dial(port);
        stream.end();
        assert.equal(await heard(stream), 'six');
      },
      '::1',
    );
  });

  it('carries 200 connections at once, and loses no byte', async () => {
    await withServer(
      (socket) => socket.pipe(socket),
      async (port) => {
        const echo = async (seed: number): Promise<void> => {
          const bytes = pattern(seed, 200_000 + seed);
          const stream = client.dial(port);
          stream.end(bytes);
          assert.ok((await heardBytes(stream)).equals(bytes), `connection ${seed}`);
        };
        await Promise.all(Array.from({ length: 200 }, (_, seed) => echo(seed)));
      },
    );
  });

  it('makes the guest wait for a slow reader, and a writer for a slow guest', async () => {
    const sockets: Socket[] = [];
    await withServer(
      (socket) => {
        sockets.push(socket);
        socket.pause();
        socket.write(Buffer.alloc(64 * MiB));
      },
      async (port) => {
        const before = await residentBytes(agent.pid);
        const stream = client.dial(port);
        let takenCount = 0;
        for (let count = 0; count < 64; count++) stream.write(Buffer.alloc(MiB), () => (takenCount += 1));
        await once(stream, 'readable');
        await delay(500);
        assert.ok((sockets[0]?.writableLength ?? 0) > 32 * MiB, 'what nobody reads stays with the guest');
        assert.ok(takenCount < 32, `${takenCount} MiB that nobody reads were taken`);
        assert.ok((await residentBytes(agent.pid)) - before < 2 * MiB);
        sockets[0]?.resume();
        stream.resume();
        while (takenCount < 64) await delay(10);
        stream.destroy();
      },
    );
  });

  it('delivers what was said before a reset, and tells of the reset', async () => {
    const refuseUpload = (socket: Socket): void => {
      socket.once('data', () =>
        socket.write('too large', () => setTimeout(() => socket.resetAndDestroy(), 100)),
      );
    };
    await withServer(refuseUpload, async (port) => {
      const stream = client.dial(port);
      stream.write('x');
      let heard = '';
      stream.on('data', (piece: Buffer) => (heard += piece.toString()));
      const [error] = (await once(stream, 'error')) as [unknown];
      assert.ok(refused('connection_reset')(error));
      assert.equal(heard, 'too large');
    });
  });

  it('resets the connection of who goes away, and of who is another machine now', async () => {
    const ends: Promise<unknown>[] = [];
    await withServer(
      (socket) => {
        ends.push(new Promise((resolve) => socket.once('error', resolve)));
        socket.resume();
      },
      async (port) => {
        (await connected(client.dial(port))).destroy();
        const cut = new AbortController();
        const stream = await connected(client.dial(port, { signal: cut.signal }));
        const failed = once(stream, 'error');
        cut.abort();
        await failed;
        const left = await connected(client.dial(port));
        const lost = once(left, 'error');
        left.resume();
        const unixTimeNs = BigInt(Date.now()) * 1_000_000n;
        await client.identify({ newSecret: SECRET, seed: Buffer.alloc(32, 7), unixTimeNs });
        await lost;
        for (const end of await Promise.all(ends))
          assert.equal((end as NodeJS.ErrnoException).code, 'ECONNRESET');
        assert.equal(ends.length, 3);
      },
    );
  });
});

async function connected<T extends PortConnection>(stream: T): Promise<T> {
  await stream.connected;
  return stream;
}

/** All that comes, and the stream stays as it is. */
async function heardBytes(stream: Duplex): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream.iterator({ destroyOnReturn: false })) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

async function heard(stream: Duplex): Promise<string> {
  return (await heardBytes(stream)).toString();
}

async function closed(stream: Duplex): Promise<void> {
  if (!stream.closed) await once(stream, 'close');
}

async function residentBytes(pid: number): Promise<number> {
  const pages = (await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')[1];
  return Number(pages) * 4096;
}
