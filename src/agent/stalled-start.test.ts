/**
 * Programs that cannot begin yet, in the agent itself, run as a process of this host: another has a lease on the file, so that opening it
 * waits until that is given back, as a file system that does not answer would have it wait.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { claimed, startRealAgent, type RealAgent } from '../../test/support/real-agent.js';
import { ConnectionChannel } from './channel.js';
import { AgentClient } from './client.js';
import { AgentDeadline } from './errors.js';
import { FrameKind } from './frames.js';

const SECRET = 'the-only-secret-of-this-guest';

const HOLDER = `
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
`;

describe('a program that cannot begin yet', { timeout: 60_000 }, () => {
  let agent: RealAgent;
  let client: AgentClient;
  let path = '';

  before(async () => {
    agent = await startRealAgent();
    client = await claimed(agent, SECRET);
    path = join(agent.dir, 'program');
  });
  after(() => agent.close());
  beforeEach(async () => {
    await rm(path, { force: true });
    await writeFile(path, '#!/bin/sh\ncat; echo began\n', { mode: 0o755 });
  });

  /** Keeps the program from beginning while `work` is under way. */
  async function whileHeld<T>(work: () => Promise<T>): Promise<T> {
    const holder = spawn('python3', ['-c', HOLDER, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      await once(holder.stdout, 'data');
      return await work();
    } finally {
      holder.kill();
      await once(holder, 'exit');
    }
  }

  /** Resolves once the agent has so many. */
  async function children(count: number): Promise<void> {
    const folder = `/proc/${agent.pid}/task`;
    for (;;) {
      const ofThreads = (await readdir(folder)).map((id) => readFile(join(folder, id, 'children'), 'utf8'));
      const pids = (await Promise.all(ofThreads)).join(' ').match(/\d+/g) ?? [];
      if (pids.length >= count) return;
      await delay(5);
    }
  }

  it('keeps nobody else waiting, and runs when it can', async () => {
    const ran = await whileHeld(async () => {
      const running = client.exec({ args: [path], stdin: 'x', timeoutMs: 30_000 });
      assert.equal((await client.ping({ timeoutMs: 10_000 })).pong, true);
      assert.equal((await client.exec({ args: ['echo', 'other'], timeoutMs: 10_000 })).stdout, 'other\n');
      return { running };
    });
    const { stdout, exitCode } = await ran.running;
    assert.deepEqual([stdout, exitCode], ['xbegan\n', 0]);
  });

  it('keeps nobody waiting beside others like it, and those begin as ever when it has begun', async () => {
    const ran = await whileHeld(async () => {
      const running = Array.from({ length: 3 }, () => client.exec({ args: [path], timeoutMs: 30_000 }));
      for (const word of ['one', 'two', 'three'])
        assert.equal((await client.exec({ args: ['echo', word], timeoutMs: 10_000 })).stdout, `${word}\n`);
      return { running: Promise.all(running) };
    });
    assert.deepEqual(
      (await ran.running).map(({ stdout }) => stdout),
      ['began\n', 'began\n', 'began\n'],
    );
    assert.equal((await client.exec({ args: ['echo', 'later'], timeoutMs: 10_000 })).stdout, 'later\n');
  });

  it('keeps nobody from the end of an input', () =>
    whileHeld(async () => {
      const input = new PassThrough();
      const reading = client.exec({ args: ['cat'], stdin: input, timeoutMs: 10_000 });
      await children(1);
      const held = assert.rejects(client.exec({ args: [path], timeoutMs: 12_000 }), AgentDeadline);
      await children(2);
      input.end('all of it');
      assert.equal((await reading).stdout, 'all of it');
      await held;
    }));

  it('is ended at its deadline', () =>
    whileHeld(() => assert.rejects(client.exec({ args: [path], timeoutMs: 300 }), AgentDeadline)));

  it('is no process before it has begun', async () => {
    const starting = await whileHeld(async () => {
      const started = client.startProcess({ args: [path] });
      assert.deepEqual(await client.processes(), []);
      return { started };
    });
    const { pid } = await starting.started;
    assert.deepEqual(
      (await client.processes()).map((each) => each.pid),
      [pid],
    );
  });

  it('gets the input that came with the call for it', async () => {
    const [request, stdin] = [FrameKind.request, FrameKind.stdin];
    const { port } = agent;
    const channel = await whileHeld(async () => {
      const opened = ConnectionChannel.open({ host: '127.0.0.1', port });
      const fields = { op: 'start', secret: SECRET, args: [path], stdin: true, attach: true };
      await opened.send({ kind: request, payload: Buffer.from(JSON.stringify(fields)) });
      await opened.send({ kind: stdin, payload: Buffer.from('early ') });
      await opened.send({ kind: stdin, payload: Buffer.alloc(0) });
      assert.equal((await client.ping({ timeoutMs: 10_000 })).pong, true);
      return opened;
    });
    let printed = '';
    for await (const { kind, payload } of channel.frames(AbortSignal.timeout(30_000))) {
      if (kind === FrameKind.stdout) printed += payload.toString();
      if (kind === FrameKind.end) break;
    }
    channel.close();
    assert.equal(printed, 'early began\n');
  });
});
