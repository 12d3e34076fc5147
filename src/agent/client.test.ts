import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { describeAgentClient } from '../../test/support/agent-suite.js';
import { FakeAgent, type FakeAnswer } from '../../test/support/fake-agent.js';
import { startScriptedGuest } from '../../test/support/scripted-guest.js';
import { AgentClient, MAX_CALLS } from './client.js';
import { AgentDeadline, AgentProtocolError, AgentRefused, AgentUnreachable } from './errors.js';
import { encodeFrame, FrameKind } from './frames.js';

async function fakeGuest(
  t: TestContext,
  answer: FakeAnswer,
): Promise<{ agent: FakeAgent; client: AgentClient }> {
  const agent = await FakeAgent.listen(answer);
  t.after(() => agent.close());
  return { agent, client: new AgentClient({ host: '127.0.0.1', port: agent.port, secret: 'secret' }) };
}

const PONG = { pong: true, interpreter: 'ready', uptime_secs: 1.5 };

async function until(condition: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 2000 && !condition(); attempt++) await delay(10);
  assert(condition());
}

describeAgentClient('the fake agent', startScriptedGuest);

describe('AgentClient', () => {
  it('sends operation and secret in the first frame of each connection', async (t) => {
    const { agent, client } = await fakeGuest(t, (_request, connection) => connection.end(PONG));
    assert.deepEqual(await client.ping(), { pong: true, interpreter: 'ready', uptimeSecs: 1.5 });
    assert.deepEqual(agent.received, [{ op: 'ping', secret: 'secret' }]);
  });

  it('exec() collects both outputs, and characters cut in two come out whole', async (t) => {
    const { client } = await fakeGuest(t, (_request, connection) => {
      const text = Buffer.from('grün');
      connection.send(FrameKind.stdout, text.subarray(0, 3));
      connection.send(FrameKind.stderr, 'oops');
      connection.send(FrameKind.stdout, text.subarray(3));
      connection.end({ exit_code: 3 });
    });
    assert.deepEqual(await client.exec({ args: ['x'] }), {
      ...{ stdout: 'grün', stderr: 'oops', exitCode: 3, truncated: false },
    });
  });

  it('exec() keeps 16 MiB of output and says how much it left out', async (t) => {
    const { client } = await fakeGuest(t, (_request, connection) => {
      const mebibyte = Buffer.alloc(1 << 20, 'x');
      for (let i = 0; i < 17; i++) connection.send(FrameKind.stdout, mebibyte);
      connection.end({ exit_code: 0 });
    });
    const { stdout, truncated } = await client.exec({ args: ['x'] });
    assert(truncated);
    assert(stdout.endsWith('\n[bough: 1048576 more bytes left out]\n'));
  });

  it('exec() gives output to who wants it as it comes, and answers without it', async (t) => {
    const { client } = await fakeGuest(t, (_request, connection) => {
      connection.send(FrameKind.stdout, 'one');
      connection.send(FrameKind.stderr, 'two');
      connection.end({ exit_code: 0 });
    });
    const given: string[] = [];
    const onOutput = (stream: string, bytes: Buffer): void =>
      void given.push(`${stream} ${bytes.toString()}`);
    const ended = await client.exec({ args: ['x'], onOutput });
    assert.deepEqual(given, ['stdout one', 'stderr two']);
    assert.deepEqual(ended, { stdout: '', stderr: '', exitCode: 0, truncated: false });
  });

  it('execStream() takes output no faster than its reader', async (t) => {
    let sentBytes = 0;
    const { client } = await fakeGuest(t, (_request, { socket }) => {
      const frame = encodeFrame(FrameKind.stdout, Buffer.alloc(1 << 20));
      const send = (): void => {
        while (sentBytes < 1 << 28 && socket.write(frame)) sentBytes += frame.length;
      };
      socket.on('drain', send);
      send();
    });
    for await (const event of client.execStream({ args: ['yes'] })) {
      assert.equal(event.type, 'stdout');
      await delay(100);
      break;
    }
    assert(sentBytes < 1 << 26, `${sentBytes} bytes were taken`);
  });

  it('closes the connection when its caller stops listening, aborts, or is done', async (t) => {
    const { agent, client } = await fakeGuest(t, ({ op }, connection) => {
      if (op === 'ping') connection.end(PONG);
      else connection.send(FrameKind.stdout, 'x');
    });
    await client.ping();
    for await (const event of client.execStream({ args: ['x'] })) if (event.type === 'stdout') break;
    const abort = new AbortController();
    const running = client.exec({ args: ['x'] }, abort.signal);
    setTimeout(() => abort.abort(new Error('enough')), 20);
    await assert.rejects(running, /^Error: enough$/);
    await until(() => agent.connectionCount === 0);
  });

  it('refuses what is not the protocol', async (t) => {
    const answers: FakeAnswer[] = [
      (_request, { socket }) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
      (_request, { socket }) => void socket.write(Buffer.from([FrameKind.end, 0xff, 0xff, 0xff, 0xff])),
      (_request, connection) => connection.send(FrameKind.end, 'not json'),
      (_request, connection) => connection.send(FrameKind.end, `${'['.repeat(1e6)}${']'.repeat(1e6)}`),
      (_request, connection) => connection.end({ pong: 'yes' }),
      (_request, connection) => connection.end({ error: { code: 5 } }),
      (_request, connection) => connection.send(FrameKind.stdout, 'output of what?'),
    ];
    for (const answer of answers) {
      const { client } = await fakeGuest(t, answer);
      await assert.rejects(client.ping({ timeoutMs: 5000 }), AgentProtocolError);
    }
  });

  it('tells an agent that is not there from one that went away', async (t) => {
    const { agent, client } = await fakeGuest(t, (_request, { socket }) => socket.destroy());
    await assert.rejects(client.ping(), (error) => error instanceof AgentUnreachable && error.sent);
    const nobody = new AgentClient({ host: '127.0.0.1', port: agent.port });
    await agent.close();
    await assert.rejects(nobody.ping(), (error) => error instanceof AgentUnreachable && !error.sent);
  });

  it('gives up at its deadline on an agent that is silent or drips', async (t) => {
    const { client } = await fakeGuest(t, (_request, { socket }) => {
      const drip = setInterval(
        () => socket.write(Buffer.from([FrameKind.end, 0, 0, 1, 0]).subarray(0, 1)),
        10,
      );
      socket.on('close', () => clearInterval(drip));
    });
    await assert.rejects(
      client.ping({ timeoutMs: 100 }),
      (error) => error instanceof AgentDeadline || error instanceof AgentProtocolError,
    );
    const silent = await fakeGuest(t, () => undefined);
    await assert.rejects(silent.client.ping({ timeoutMs: 50 }), AgentDeadline);
  });

  it('lets no more programs reach the guest than it can take, says so to one whose turn never comes, and asks short questions meanwhile', async (t) => {
    const { agent, client } = await fakeGuest(t, ({ op }, connection) => {
      if (op === 'ping') connection.end(PONG);
    });
    const stop = new AbortController();
    const running = Array.from({ length: MAX_CALLS }, () => client.exec({ args: ['x'] }, stop.signal));
    await until(() => agent.received.length === MAX_CALLS);
    const late = client.eval('1', { timeoutMs: 1 });
    assert((await client.ping()).pong);
    await assert.rejects(late, (error) => error instanceof AgentRefused && error.code === 'busy');
    assert.equal(agent.received.length, MAX_CALLS + 1);
    stop.abort(new Error('enough'));
    for (const ended of await Promise.allSettled(running)) assert.equal(ended.status, 'rejected');
    await until(() => agent.received.length === MAX_CALLS + 1);
    const next = client.eval('1', { timeoutMs: 1 });
    await until(() => agent.received.length === MAX_CALLS + 2);
    await assert.rejects(next, AgentDeadline);
  });

  it('takes an evaluation that fills what an agent keeps for one that may have been cut', async (t) => {
    const printed = [(1 << 20) - 1, 1 << 20];
    const { client } = await fakeGuest(t, (_request, connection) => {
      const stdout = 'x'.repeat(printed.shift() ?? 0);
      connection.end({ result: null, error: null, exit_code: 0, stdout, stderr: '' });
    });
    assert.deepEqual([(await client.eval('1')).truncated, (await client.eval('1')).truncated], [false, true]);
  });

  it('identify() fails when another nonce comes back, and keeps the old secret', async (t) => {
    const { agent, client } = await fakeGuest(t, ({ op }, connection) =>
      connection.end(op === 'ping' ? PONG : { nonce: 'old', hostname: 'x', restored: true, hook: null }),
    );
    const identity = { newSecret: 'new', seed: Buffer.alloc(32), unixTimeNs: 1n };
    await assert.rejects(client.identify(identity), AgentProtocolError);
    await client.ping();
    assert.equal(agent.received.at(-1)?.['secret'], 'secret');
  });

  it('waitReady() takes early closes for "not yet" and any answer for "ready"', async (t) => {
    let count = 0;
    const { client } = await fakeGuest(t, (_request, connection) => {
      if (count++ < 3) connection.socket.destroy();
      else connection.end({ error: { code: 'unauthorized', message: 'no' } });
    });
    await client.waitReady({ timeoutMs: 5000 });
    assert.equal(count, 4);
    await assert.rejects(
      client.ping(),
      (error) => error instanceof AgentRefused && error.code === 'unauthorized',
    );
  });

  it('waitReady() ends at its deadline and by its signal', async (t) => {
    const { client } = await fakeGuest(t, (_request, { socket }) => socket.destroy());
    await assert.rejects(client.waitReady({ timeoutMs: 120 }), AgentDeadline);
    const signal = AbortSignal.timeout(50);
    await assert.rejects(client.waitReady({ timeoutMs: 60_000, signal }), { name: 'TimeoutError' });
  });
});
