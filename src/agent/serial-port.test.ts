import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FakeAgent } from '../../test/support/fake-agent.js';
import { FakeSerialPort } from '../../test/support/fake-serial-port.js';
import { AgentClient } from './client.js';
import { AgentUnreachable } from './errors.js';
import { encodeFrame, FrameKind } from './frames.js';

const PONG = { pong: true, interpreter: 'ready', uptime_secs: 1.5 };
type Script = Parameters<typeof FakeSerialPort.listen>[1];

const WELL: Script = { onRequest: (port) => port.end(PONG) };

/** A guest with ports; over the network it answers pings. */
async function guestOf(t: TestContext, ...scripts: readonly Script[]) {
  const folder = await mkdtemp(join(tmpdir(), 'bough-ports-'));
  t.after(() => rm(folder, { recursive: true }));
  const agent = await FakeAgent.listen((_request, connection) => connection.end(PONG));
  t.after(() => agent.close());
  const serialSockets = scripts.map((_, index) => join(folder, `port${index}`));
  const ports = await Promise.all(
    scripts.map((script, index) => FakeSerialPort.listen(serialSockets[index] ?? '', script)),
  );
  t.after(async () => {
    client.close();
    for (const port of ports) await port.close();
  });
  const client = new AgentClient({ host: '127.0.0.1', port: agent.port, secret: 's' }, { serialSockets });
  const requestsOf = (port: FakeSerialPort): number =>
    port.received.filter((kind) => kind === FrameKind.request).length;
  return { agent, client, ports, requestsOf };
}

async function until(condition: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 2000 && !condition(); attempt++) await delay(5);
  assert(condition());
}

/** Asks until calls go over the port. */
async function whenOpen(guest: Awaited<ReturnType<typeof guestOf>>, index = 0): Promise<void> {
  const port = guest.ports[index];
  assert(port);
  for (let attempt = 0; attempt < 400 && guest.requestsOf(port) === 0; attempt++) {
    await guest.client.ping();
    await delay(5);
  }
  assert(guest.requestsOf(port) > 0);
}

describe('a serial port of a guest', () => {
  it('is opened behind the first answer, and carries one call after the other from then on', async (t) => {
    const guest = await guestOf(t, WELL);
    const [port] = guest.ports;
    assert(port);
    await whenOpen(guest);
    const [overNetwork, overPort] = [guest.agent.received.length, guest.requestsOf(port)];
    for (let call = 0; call < 50; call++) assert.equal((await guest.client.ping()).pong, true);
    assert.equal(guest.requestsOf(port), overPort + 50);
    assert.equal(guest.agent.received.length, overNetwork);
    assert.equal(port.connectionCount, 1);
  });

  it('throws away what comes before the greeting, also a piece of it, however it is cut', async (t) => {
    const remains = Buffer.concat([
      randomBytes(100_000),
      encodeFrame(FrameKind.end, Buffer.from('{}')),
      encodeFrame(FrameKind.hello, Buffer.alloc(16)),
    ]);
    const guest = await guestOf(t, {
      ...WELL,
      onHello: (port, greeting) => {
        const frame = encodeFrame(FrameKind.hello, greeting);
        port.write(remains);
        port.write(frame.subarray(0, 9));
        void delay(20).then(() => {
          port.write(frame);
        });
      },
    });
    await whenOpen(guest);
    assert.equal((await guest.client.ping()).pong, true);
  });

  it('knows the greeting when it comes in two pieces', async (t) => {
    const guest = await guestOf(t, {
      ...WELL,
      onHello: (port, greeting) => {
        const frame = encodeFrame(FrameKind.hello, greeting);
        port.write(frame.subarray(0, 9));
        void delay(20).then(() => {
          port.write(frame.subarray(9));
        });
      },
    });
    await whenOpen(guest);
    assert.equal(guest.ports[0]?.connectionCount, 1);
  });

  it('makes the guest wait for a slow reader, and takes the rest when that reads on', async (t) => {
    const [piece, count] = [Buffer.alloc(128 << 10, 'x'), 256];
    const guest = await guestOf(t, {
      onRequest: (port, { op }) => {
        for (let sent = 0; op !== 'ping' && sent < count; sent++) port.send(FrameKind.stdout, piece);
        port.end(op === 'ping' ? PONG : { exit_code: 0 });
      },
    });
    await whenOpen(guest);
    const events = guest.client.execStream({ args: ['x'], timeoutMs: 20_000 });
    let readBytes = 0;
    for await (const event of events) {
      if (event.type === 'exit') break;
      if (readBytes === 0) {
        await delay(300);
        assert((guest.ports[0]?.heldBytes ?? 0) > 28 << 20, 'what nobody reads stays with the guest');
      }
      readBytes += event.bytes.length;
    }
    assert.equal(readBytes, count * piece.length);
  });

  it('gives each call its own frames only: what an earlier one still sends is thrown away', async (t) => {
    let callCount = 0;
    const guest = await guestOf(t, {
      onRequest: (port, { op }) => {
        callCount += 1;
        if (op === 'exec') port.send(FrameKind.stdout, 'first');
        else port.end(PONG);
      },
      onClose: (port) => {
        port.send(FrameKind.stdout, 'of a call that is over');
        port.send(FrameKind.close);
      },
    });
    await whenOpen(guest);
    for (let round = 0; round < 5; round++) {
      for await (const event of guest.client.execStream({ args: ['x'], timeoutMs: 5_000 })) {
        assert(event);
        break;
      }
      await until(() => guest.ports[0]?.received.at(-1) === FrameKind.close);
      const before = callCount;
      while (callCount === before) assert.equal((await guest.client.ping()).pong, true);
    }
    assert.equal(guest.ports[0]?.connectionCount, 1);
  });

  it('sends no input behind the end of its call', async (t) => {
    const guest = await guestOf(t, {
      onRequest: (port, { op }) =>
        port.end(op === 'ping' ? PONG : { exit_code: 0, signal: null, timed_out: false }),
    });
    await whenOpen(guest);
    const pieces = (async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      for (let piece = 0; piece < 200; piece++) {
        yield Buffer.alloc(1000);
        await delay(1);
      }
    })();
    await guest.client.exec({ args: ['x'], timeoutMs: 5_000, stdin: pieces }).catch(() => undefined);
    await delay(100);
    const kinds = guest.ports[0]?.received ?? [];
    assert(kinds.includes(FrameKind.stdin), 'the call had input');
    assert.equal(kinds.at(-1), FrameKind.close);
  });

  it('is given up when the guest does not close, and is opened again', async (t) => {
    const guest = await guestOf(t, { ...WELL, onClose: () => undefined });
    const [port] = guest.ports;
    assert(port);
    await whenOpen(guest);
    await until(() => !port.isConnected);
    assert.equal((await guest.client.ping()).pong, true);
    await until(() => port.connectionCount === 2);
  });

  it('is left alone for a while when the guest does not greet, and calls go over the network', async (t) => {
    const guest = await guestOf(t, { ...WELL, onHello: (port) => port.hangUp() });
    const startMs = performance.now();
    for (let call = 0; call < 200; call++) assert.equal((await guest.client.ping()).pong, true);
    const connectionCount = guest.ports[0]?.connectionCount ?? 0;
    // Each rest is twice as long as the one before.
    const most = 3 + Math.log2(1 + (performance.now() - startMs) / 1_000);
    assert(connectionCount >= 1 && connectionCount <= most, String(connectionCount));
  });

  it('fails the call under way when the guest lets go of the port, in the middle of a frame too', async (t) => {
    for (const before of [
      Buffer.alloc(0),
      encodeFrame(FrameKind.stdout, Buffer.alloc(65_536)).subarray(0, 70),
    ]) {
      const guest = await guestOf(t, {
        onRequest: (port, { op }) =>
          op === 'ping' ? port.end(PONG) : port.write(Buffer.concat([before, Buffer.alloc(96 << 10)])),
      });
      await whenOpen(guest);
      await assert.rejects(
        guest.client.exec({ args: ['x'], timeoutMs: 600_000 }),
        (error) => error instanceof AgentUnreachable && error.sent,
      );
    }
  });

  it('is closed when the guest begins a frame unasked, which it might never end', async (t) => {
    const guest = await guestOf(t, WELL);
    await whenOpen(guest);
    await until(() => guest.ports[0]?.received.at(-1) === FrameKind.close);
    await delay(20);
    guest.ports[0]?.write(Buffer.from([FrameKind.end, 1]));
    await until(() => guest.ports[0]?.isConnected === false);
  });

  it('is closed when the guest says something unasked, or what is no frame', async (t) => {
    for (const unasked of [encodeFrame(FrameKind.stdout, Buffer.from('x')), Buffer.from([99, 0, 0, 0, 0])]) {
      const guest = await guestOf(t, WELL);
      await whenOpen(guest);
      guest.ports[0]?.write(unasked);
      await until(() => guest.ports[0]?.isConnected === false);
      assert.equal((await guest.client.ping()).pong, true);
    }
  });

  it('fails the call under way when its VMM ends', async (t) => {
    const guest = await guestOf(t, {
      onRequest: (port, { op }) => (op === 'ping' ? port.end(PONG) : port.hangUp()),
    });
    await whenOpen(guest);
    await assert.rejects(
      guest.client.exec({ args: ['x'], timeoutMs: 5_000 }),
      (error) => error instanceof AgentUnreachable && error.sent,
    );
  });

  it('is left to calls that end when it is the last that is free', async (t) => {
    const dialled: Script = {
      onRequest: (port, { op }) =>
        op === 'dial' ? port.send(FrameKind.event, '{"connected":true}') : port.end(PONG),
    };
    const guest = await guestOf(t, dialled, dialled);
    await whenOpen(guest);
    const stream = guest.client.dial(80);
    await stream.connected;
    t.after(() => stream.destroy());
    await whenOpen(guest, 1);
    await assert.rejects(guest.client.dial(80).connected, /something else/, 'by the network');
    assert.equal((await guest.client.ping()).pong, true);
  });
});
