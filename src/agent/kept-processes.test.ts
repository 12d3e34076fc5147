/** Kept processes of the guest agent itself, run as a process of this host. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { claimed, startRealAgent, type RealAgent } from '../../test/support/real-agent.js';
import { AgentClient } from './client.js';
import { AgentRefused } from './errors.js';
import { FrameKind } from './frames.js';
import type { Process, ProcessEvent, ProcessEvents } from './operations/process.js';

const RING_BYTES = 1 << 20;
const refused = (code: string) => (error: unknown) => error instanceof AgentRefused && error.code === code;

interface Seen {
  stdout: string;
  stderr: string;
  pty: string;
  gone: number;
  end: Process | undefined;
}

async function seen(events: ProcessEvents): Promise<Seen> {
  const all: Seen = { stdout: '', stderr: '', pty: '', gone: 0, end: undefined };
  for await (const event of events) {
    if ('bytes' in event) all[event.type] += event.bytes.toString('latin1');
    else if (event.type === 'gap') all.gone += event.goneBytes;
    else if (event.type === 'end') all.end = event.process;
  }
  return all;
}

describe('kept processes', { timeout: 120_000 }, () => {
  let agent: RealAgent;
  let client: AgentClient;

  before(async () => {
    agent = await startRealAgent();
    client = await claimed(agent);
  });
  after(() => agent.close());

  const shell = (script: string, more = {}) => client.startProcess({ args: ['sh', '-c', script], ...more });
  const over = (pid: number) => seen(client.output(pid, { follow: true }));

  it('run without a connection, and are read from any offset', async () => {
    const { pid, running } = await shell('echo one; sleep 0.1; echo two; echo err >&2; exit 3', { tag: 'a' });
    assert.equal(running, true);
    const all = await over(pid);
    assert.deepEqual([all.stdout, all.stderr, all.gone], ['one\ntwo\n', 'err\n', 0]);
    assert.deepEqual([all.end?.running, all.end?.exitCode, all.end?.tag], [false, 3, 'a']);
    const late = await seen(client.output(pid, { stdoutFrom: 4, stderrFrom: 4 }));
    assert.deepEqual([late.stdout, late.stderr, late.end?.stdoutTo], ['two\n', '', 8]);
    assert.deepEqual((await client.process(pid)).exitCode, 3);
    assert((await client.processes()).some((each) => each.pid === pid));
  });

  it('tell what a client that comes late has missed, and give it the rest once', async () => {
    const bytes = 3 * RING_BYTES;
    const { pid } = await shell(`head -c ${bytes} /dev/zero | tr '\\0' x; echo end`);
    while ((await client.process(pid)).running) await delay(20);
    await delay(50);
    const all = await over(pid);
    assert.deepEqual([all.gone, all.stdout.length], [bytes + 4 - RING_BYTES, RING_BYTES]);
    assert(all.stdout.endsWith('xend\n'));
    assert.equal(all.end?.stdoutFrom, all.gone);
  });

  it('wait for a client that is attached and slow, which then has every byte', async () => {
    const bytes = 8 * RING_BYTES;
    const stream = client.startAttached(
      { args: ['sh', '-c', `head -c ${bytes} /dev/zero; echo done >&2`] },
      { kill: false },
    );
    const first = (await stream.next()).value as ProcessEvent;
    assert(first.type === 'started');
    await delay(300);
    const { stdoutTo, running } = await client.process(first.process.pid);
    assert(running && stdoutTo < bytes, `${stdoutTo} bytes`);
    const { stdout, stderr, gone } = await seen(stream);
    assert.deepEqual([stdout.length, stderr, gone], [bytes, 'done\n', 0]);
  });

  it('go on for others when one who is attached leaves', async () => {
    const { pid } = await shell(`head -c ${4 * RING_BYTES} /dev/zero; echo end`);
    const stream = client.output(pid, { follow: true });
    await stream.next();
    await stream.return();
    assert.equal((await over(pid)).end?.stdoutTo, 4 * RING_BYTES + 4);
  });

  it('take input from several calls, and tell how much', async () => {
    const { pid } = await client.startProcess({ args: ['cat'], stdin: true });
    assert.equal(await client.feed(pid, { input: 'one', eof: false }), 3);
    const long = Buffer.alloc(500_000, 'y');
    assert.equal(await client.feed(pid, { input: long, eof: false }), 500_003);
    assert.equal(await client.feed(pid, { input: '', eof: true }), 500_003);
    const { stdout, end } = await over(pid);
    assert.deepEqual([stdout.length, end?.exitCode], [500_003, 0]);
    await assert.rejects(client.feed(pid, { input: 'x', eof: false }), refused('stdin_closed'));
    const deaf = await shell('sleep 0.2');
    await assert.rejects(client.feed(deaf.pid, { input: 'x', eof: false }), refused('stdin_closed'));
  });

  it('end at their deadline, and say so', async () => {
    const { end } = await seen(
      client.startAttached({ args: ['sleep', '60'], timeoutMs: 100 }, { kill: false }),
    );
    assert.deepEqual([end?.timedOut, end?.exitCode, end?.signal], [true, 137, 9]);
  });

  it('are signalled, and say when they have ended', async () => {
    const { pid } = await shell('trap "echo caught; exit 5" TERM; echo ready; while :; do sleep 0.02; done');
    const stream = client.output(pid, { follow: true });
    await stream.next();
    await client.signal({ pid, signalNumber: 15 });
    const { stdout, end } = await seen(stream);
    assert.deepEqual([stdout, end?.exitCode], ['caught\n', 5]);
    await assert.rejects(client.signal({ pid, signalNumber: 15 }), refused('process_ended'));
    await assert.rejects(client.signal({ pid: 999_999_999, signalNumber: 15 }), refused('no_process'));
    await assert.rejects(client.signal({ pid, signalNumber: 65 }), refused('bad_request'));
  });

  it('end with a client that starts them so', async () => {
    const stream = client.startAttached({ args: ['sleep', '60'] }, { kill: true });
    const first = (await stream.next()).value as ProcessEvent;
    assert(first.type === 'started');
    await stream.return();
    assert.equal((await over(first.process.pid)).end?.signal, 9);
  });

  it('have a terminal of the size that is asked for', async () => {
    const { pid } = await shell('stty size; read line; stty size; echo "got $line"', {
      pty: { cols: 100, rows: 30 },
    });
    const sent: { kind: number; payload: Buffer }[] = [
      { kind: FrameKind.control, payload: Buffer.from('{"resize":{"cols":33,"rows":44}}') },
      { kind: FrameKind.stdin, payload: Buffer.from('hello\n') },
    ];
    const frames = (async function* () {
      await delay(200);
      yield* sent;
    })();
    const { pty, end } = await seen(client.attach(pid, { request: {}, frames }));
    assert.deepEqual(
      pty.split('\r\n').filter((line) => line !== 'hello'),
      ['30 100', '44 33', 'got hello', ''],
    );
    assert.equal(end?.exitCode, 0);
    const plain = await shell('sleep 0.3');
    await assert.rejects(
      client.resize({ pid: plain.pid, size: { cols: 1, rows: 1 } }),
      refused('no_terminal'),
    );
  });

  it('read the end of a terminal as others do', async () => {
    const { pid } = await client.startProcess({ args: ['cat'], pty: { cols: 80, rows: 24 } });
    await client.feed(pid, { input: 'x\n', eof: true });
    assert.equal((await over(pid)).end?.exitCode, 0);
  });

  it('are not hung up on when they let go of their terminal before they end', async () => {
    const { pid } = await shell('echo said; exec <&- >&- 2>&-; sleep 0.3; exit 5', {
      pty: { cols: 80, rows: 24 },
    });
    const { pty, end } = await over(pid);
    assert.deepEqual([pty, end?.exitCode], ['said\r\n', 5]);
  });

  it('are read on when they are over but left something running', async () => {
    const { pid } = await shell('(sleep 0.3; echo late; echo alive > left) & echo now');
    assert.equal((await over(pid)).stdout, 'now\n');
    await delay(600);
    assert.equal((await seen(client.output(pid, { stdoutFrom: 4 }))).stdout, 'late\n');
    assert.equal(await readFile(`${agent.dir}/left`, 'utf8'), 'alive\n');
  });

  it('say why they cannot be started', async () => {
    await assert.rejects(client.startProcess({ args: ['no-such-program'] }), refused('not_started'));
    await assert.rejects(client.startProcess({ args: ['true'], cwd: '/absent' }), refused('bad_request'));
    const sizeless = { args: ['true'], pty: { cols: 0, rows: 1 } };
    await assert.rejects(client.startProcess(sizeless), refused('bad_request'));
  });

  it('are forgotten when many have ended, the oldest first', async () => {
    const first = await shell('true');
    await over(first.pid);
    for (let count = 0; count < 80; count++) await over((await shell('true')).pid);
    await assert.rejects(client.process(first.pid), refused('no_process'));
    assert((await client.processes()).length <= 70);
  });

  it('hundreds of streams follow one process, and none misses a byte', async () => {
    const { pid } = await client.startProcess({ args: ['cat'], stdin: true });
    const streams = Array.from({ length: 600 }, () => seen(client.output(pid, { follow: true })));
    await delay(500);
    await client.feed(pid, { input: Buffer.alloc(100_000, 'z'), eof: true });
    for (const { stdout, gone } of await Promise.all(streams))
      assert.deepEqual([stdout.length, gone], [100_000, 0]);
  });
});
