import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { CliDaemon } from '../../test/support/cli-daemon.js';
import type { Ran } from '../../test/support/cli-in-process.js';
import type { SignalName } from './io.js';

/** A `bough port-forward` that runs. */
interface Running {
  readonly addresses: readonly number[];
  readonly notes: () => string;
  readonly interrupt: () => void;
  readonly ended: Promise<Ran>;
}

describe('bough port-forward', { timeout: 120_000 }, () => {
  let daemon: CliDaemon;
  const servers: Server[] = [];
  before(async () => {
    daemon = await CliDaemon.open();
  });
  after(async () => {
    for (const server of servers) server.close();
    await daemon.close();
  });

  /** A program of the guest, whose ports are this machine's. */
  const guest = async (serve: (socket: Socket) => void): Promise<number> => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined);
      serve(socket);
    });
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const echo = (socket: Socket): void => void socket.pipe(socket);

  const forward = async (sandbox: string, ...ports: string[]): Promise<Running> => {
    const signals = new EventEmitter();
    const [addresses, notes]: [number[], string[]] = [[], []];
    const ended = daemon.run(['port-forward', sandbox, ...ports], {
      io: {
        stdout: (line) => {
          addresses.push(Number(/^127\.0\.0\.1:(\d+) -> \d+\n$/.exec(line)?.[1]));
          if (addresses.length === ports.length) signals.emit('listening');
        },
        stderr: (words) => notes.push(words),
        onSignal: (listener: (name: SignalName) => void) => {
          signals.on('interrupt', () => listener('SIGINT'));
          return () => void signals.removeAllListeners('interrupt');
        },
      },
    });
    await Promise.race([once(signals, 'listening'), ended]);
    return {
      addresses,
      notes: () => notes.join(''),
      interrupt: () => signals.emit('interrupt'),
      ended,
    };
  };
  const dial = (port: number | undefined): Socket =>
    connect({ port: port ?? 0, host: '127.0.0.1', allowHalfOpen: true });
  const broken = async (socket: Socket): Promise<string> =>
    ((await once(socket, 'error')) as [NodeJS.ErrnoException])[0].code ?? '';

  it('carries bytes both ways, each direction to its own end, however many there are', async () => {
    const port = await guest((socket) => {
      const heard: Buffer[] = [Buffer.from('heard ')];
      socket.on('data', (bytes: Buffer) => heard.push(bytes));
      socket.on('end', () => socket.end(Buffer.concat(heard)));
    });
    const running = await forward(await daemon.spawn(), `:${port}`);
    const socket = dial(running.addresses[0]);
    const sent = Buffer.alloc(5 << 20, 'all of it ');
    socket.end(sent);
    assert.equal((await buffer(socket)).equals(Buffer.concat([Buffer.from('heard '), sent])), true);
    running.interrupt();
    assert.equal((await running.ended).code, 130);
    assert.equal(running.notes(), '');
    assert.equal(await broken(dial(running.addresses[0])), 'ECONNREFUSED');
  });

  it('keeps ports and connections apart: one that breaks leaves the others', async () => {
    const [good, bad] = [
      await guest(echo),
      await guest((socket) => socket.once('data', () => socket.resetAndDestroy())),
    ];
    const running = await forward(await daemon.spawn(), `:${good}`, `:${bad}`, ':1');
    const [toGood, toBad, toNobody] = running.addresses;
    const before = dial(toGood);
    for (const port of [toBad, toNobody]) {
      const socket = dial(port);
      socket.write('x');
      // It may be over before the first byte is read.
      await new Promise((resolve) => socket.on('close', resolve).on('error', resolve).resume());
    }
    before.end('still here');
    assert.equal(await text(before), 'still here');
    const next = dial(toGood);
    next.end('and again');
    assert.equal(await text(next), 'and again');
    assert.match(running.notes(), new RegExp(`note: a connection to port ${bad} ended: .*port_failed`));
    assert.match(running.notes(), /note: a connection to port 1 ended: .*port_unreachable/);
    running.interrupt();
    await running.ended;
  });

  it('resets in the guest what is broken here', async () => {
    const accepted = new EventEmitter();
    const port = await guest((socket) => {
      socket.on('error', () => accepted.emit('reset')).resume();
      accepted.emit('connected');
    });
    const running = await forward(await daemon.spawn(), `:${port}`);
    const socket = dial(running.addresses[0]);
    await once(accepted, 'connected');
    const reset = once(accepted, 'reset');
    socket.resetAndDestroy();
    await reset;
    running.interrupt();
    await running.ended;
  });

  it('ends with the sandbox, and ends what is open', async () => {
    const id = await daemon.spawn('--name', 'short');
    const running = await forward('short', `:${await guest(echo)}`);
    const socket = dial(running.addresses[0]);
    socket.write('x');
    await once(socket, 'data');
    const closed = new Promise((resolve) => socket.on('close', resolve).on('error', () => undefined));
    await daemon.printed('rm', id);
    assert.equal((await running.ended).code, 0);
    assert.match(running.notes(), /note: the sandbox has ended\n$/);
    await closed;
  });

  it('refuses what is no port, a port that is taken, and a sandbox there is not', async () => {
    const id = await daemon.spawn();
    for (const pair of ['0', '80:0', '70000', '80:', 'a', '1:2:3', ''])
      assert.equal((await forward(id, pair).then(({ ended }) => ended)).code, 2, pair);
    const taken = await forward(id, `${await guest(echo)}:80`);
    assert.equal((await taken.ended).code, 1);
    assert.match(
      taken.notes(),
      /^error: Cannot listen on 127.0.0.1:\d+: something else listens there; 0:PORT takes/,
    );
    assert.equal((await (await forward('nothing', '80')).ended).code, 1);
  });
});
