/** What a client writes to a guest's port before there is a connection. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FakeAgent, type FakeAnswer } from '../../test/support/fake-agent.js';
import { claimed, startRealAgent } from '../../test/support/real-agent.js';
import { Deferred, MiB } from '../base/index.js';
import { AgentClient } from './client.js';
import { AgentDeadline, AgentRefused } from './errors.js';
import { FrameKind } from './frames.js';
import type { PortConnection } from './operations/dial.js';

const CONNECTED = '{"connected":true}';
const NOT_CONNECTED = { error: { code: 'not_connected', message: 'nothing listens on port 80' } };

async function guestOf(t: TestContext, answer: FakeAnswer): Promise<AgentClient> {
  const agent = await FakeAgent.listen(answer);
  t.after(() => agent.close());
  return new AgentClient({ host: '127.0.0.1', port: agent.port, secret: 'secret' });
}

const isRefused = (error: unknown) => error instanceof AgentRefused && error.code === 'not_connected';

describe('a port that is not connected yet', { timeout: 60_000 }, () => {
  it('is sent what was written along with the request, and the rest behind it', async (t) => {
    const along = new Deferred<string>();
    const client = await guestOf(t, (_request, guest) => {
      // All of one piece is looked at before.
      queueMicrotask(() => along.resolve(guest.stdin.bytes.toString()));
      guest.onInput = (piece) => {
        if (piece.length > 0) return;
        guest.send(FrameKind.event, CONNECTED);
        guest.send(FrameKind.stdout, guest.stdin.bytes);
        guest.send(FrameKind.stdout, '');
        guest.end({});
      };
    });
    const stream = client.dial(80);
    stream.write('first');
    assert.equal(await along.promise, 'first');
    stream.end(' and last');
    const pieces: Buffer[] = [];
    for await (const piece of stream) pieces.push(piece as Buffer);
    assert.equal(Buffer.concat(pieces).toString(), 'first and last');
    await stream.connected;
  });

  it('breaks with the refusal, which is told before', async (t) => {
    const client = await guestOf(t, (_request, guest) => guest.end(NOT_CONNECTED));
    const stream = client.dial(80);
    const told: string[] = [];
    stream.write('lost');
    const broken = once(stream.resume(), 'error').then(([error]) =>
      told.push(isRefused(error) ? 'broken' : String(error)),
    );
    await assert.rejects(
      stream.connected.finally(() => told.push('refused')),
      isRefused,
    );
    await broken;
    assert.deepEqual(told, ['refused', 'broken']);
  });

  it('breaks with the reason of its signal, whenever that fires', async (t) => {
    const asked = new Deferred<void>();
    const client = await guestOf(t, () => asked.resolve());
    const why = new Error('the token was revoked');
    const isBroken = async (stream: PortConnection): Promise<void> => {
      const broken = once(stream, 'error');
      await assert.rejects(stream.connected, (error) => error === why);
      assert.deepEqual(await broken, [why]);
    };
    await isBroken(client.dial(80, { signal: AbortSignal.abort(why) }));
    const [atOnce, later] = [new AbortController(), new AbortController()];
    const stream = client.dial(80, { signal: atOnce.signal });
    atOnce.abort(why);
    await isBroken(stream);
    assert.deepEqual(getEventListeners(atOnce.signal, 'abort'), []);
    const waiting = client.dial(80, { signal: later.signal });
    await asked.promise;
    later.abort(why);
    await isBroken(waiting);
  });

  it('has all the time there is once it is connected', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const client = await guestOf(t, (_request, guest) => {
      guest.onInput = (piece) => guest.send(FrameKind.stdout, piece);
      guest.send(FrameKind.event, CONNECTED);
    });
    const stream = client.dial(80, { timeoutMs: 50 });
    await stream.connected;
    t.mock.timers.tick(100);
    stream.write('echo');
    assert.equal(String((await once(stream, 'data'))[0]), 'echo');
    stream.destroy();
  });

  it('takes no more than a little while nobody reads, and is given up in time', async (t) => {
    const client = await guestOf(t, (_request, guest) => void guest.socket.pause());
    const stream = client.dial(80, { timeoutMs: 500 });
    let takenCount = 0;
    for (let count = 0; count < 64; count++)
      stream.write(Buffer.alloc(MiB), (error) => (takenCount += error ? 0 : 1));
    await assert.rejects(stream.connected, AgentDeadline);
    assert.ok(takenCount < 32, `${takenCount} MiB were taken`);
  });

  it('makes its client wait in the agent, which carries all of it to a program that accepts at last', async (t) => {
    const agent = await startRealAgent();
    t.after(() => agent.close());
    const client = await claimed(agent, 'the-first-secret-of-this-guest');
    const program = spawn('python3', ['-c', LATE_PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => program.kill('SIGKILL'));
    const port = Number(String((await once(program.stdout, 'data'))[0]));
    const before = await residentBytes(agent.pid);
    const stream = client.dial(port);
    const told: string[] = [];
    void stream.connected.then(() => told.push('connected'));
    const bytes = Buffer.alloc(MiB);
    for (let count = 0; count < 64; count++) stream.write(bytes);
    stream.end();
    await delay(300);
    assert.deepEqual(told, []);
    assert.ok(stream.writableLength > 32 * MiB, 'what nobody takes stays with the client');
    assert.ok((await residentBytes(agent.pid)) - before < MiB);
    program.stdin.write('accept\n');
    let answer = '';
    for await (const piece of stream) answer += String(piece);
    assert.equal(answer, String(64 * MiB));
  });
});

/** Accepts nobody before it is told to, and says how many bytes came from the first who has any. */
const LATE_PROGRAM = `
import socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen(0)
here = listener.getsockname()
others = [socket.socket() for _ in range(2)]
for other in others:
    other.setblocking(False)
    other.connect_ex(here)
print(here[1], flush=True)
sys.stdin.readline()
for other in others:
    other.close()
while True:
    connection, _ = listener.accept()
    count = 0
    try:
        while (piece := connection.recv(65536)):
            count += len(piece)
        if count:
            connection.sendall(str(count).encode())
    except OSError:
        pass
    connection.close()
`;

async function residentBytes(pid: number): Promise<number> {
  const pages = (await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')[1];
  return Number(pages) * 4096;
}
