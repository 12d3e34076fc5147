/** Streams that are cut, taken up again, left, and fail in the middle. What answers is scripted, or the server over a host without VMs. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { loadConfig } from '../../src/daemon/config.js';
import { serve, type Daemon } from '../../src/daemon/serve.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { encodeFrame, FrameDecoder, frameKinds } from '../../src/sdk/frames.js';
import { Bough, BoughApiError, BoughUnreachable } from '../../src/sdk/index.js';
import { silent } from '../daemon/support.js';
import { fakeHost } from '../support/fake-host.js';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const frame = (kind: number, value: string | object): Uint8Array<ArrayBuffer> =>
  encodeFrame(kind, encode(typeof value === 'string' ? value : JSON.stringify(value)));
const ended = { pid: 7, running: false, exit_code: 0 };

/** Bytes, and then the end of the answer or of the connection. */
interface Scripted {
  readonly bytes?: readonly Uint8Array[];
  readonly isCut?: boolean;
  readonly refusal?: { readonly status: number; readonly code: string };
}

/** A client whose calls are answered in turn; what is left over is a daemon that is not there. */
function scripted(...answers: Scripted[]): { bough: Bough; asked: string[] } {
  const asked: string[] = [];
  const answer: typeof fetch = (input) => {
    const { pathname, search } = new URL(input instanceof Request ? input.url : input);
    asked.push(pathname.replace('/v1/sandboxes/s1/', '') + search);
    const next = answers.shift();
    if (next === undefined) return Promise.reject(new TypeError('fetch failed'));
    const { bytes = [], isCut = false, refusal } = next;
    if (refusal !== undefined)
      return Promise.resolve(Response.json({ error: 'no', code: refusal.code }, { status: refusal.status }));
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (const each of bytes) controller.enqueue(each);
        if (!isCut) controller.close();
      },
      pull: (controller) => controller.error(new TypeError('terminated')),
    });
    return Promise.resolve(new Response(body));
  };
  return { bough: new Bough({ url: 'http://localhost:1', fetch: answer }), asked };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

async function failureOf(items: AsyncIterable<unknown>): Promise<unknown> {
  return all(items).then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('the output of a process', () => {
  it('comes with every byte once over connections that are lost in any place', async () => {
    const whole = frame(frameKinds.stdout, 'grüße');
    for (let cutAt = 0; cutAt < whole.length; cutAt++) {
      const { bough, asked } = scripted(
        { bytes: [frame(frameKinds.stdout, 'ab'), whole.slice(0, cutAt)], isCut: true },
        {
          bytes: [frame(frameKinds.event, { gap: { stream: 'stdout', bytes: 3 } }), whole],
          isCut: cutAt % 2 === 0,
        },
        { bytes: [frame(frameKinds.stderr, '!'), frame(frameKinds.end, ended)] },
      );
      const pieces = await all(bough.sandbox('s1').processes.of(7).output({ stdoutFrom: 10 }));
      const told = pieces.map((piece) => ('text' in piece ? piece.text : piece.type));
      assert.deepEqual(told, ['ab', 'gap', 'grüße', '!', 'end']);
      const offsets = asked.map((each) => new URLSearchParams(each.split('?')[1]).get('stdout_from'));
      assert.deepEqual(offsets, ['10', '12', '22']);
    }
  });

  it('is text where a character comes in two pieces', async () => {
    const [first, second] = [encode('é').slice(0, 1), encode('é').slice(1)];
    const bytes = [encodeFrame(frameKinds.pty, first), encodeFrame(frameKinds.pty, second)];
    const { bough } = scripted({ bytes: [...bytes, frame(frameKinds.end, ended)] });
    const pieces = await all(bough.sandbox('s1').processes.of(7).output());
    assert.deepEqual(
      pieces.map((piece) => ('text' in piece ? piece.text : '')),
      ['', 'é', ''],
    );
  });

  it('fails as the daemon says in it, or when it is taken up again', async () => {
    const failing = scripted({
      bytes: [frame(frameKinds.end, { error: { code: 'agent_unreachable', message: 'gone' } })],
    });
    const told = await failureOf(failing.bough.sandbox('s1').processes.of(7).output());
    assert(told instanceof BoughApiError);
    assert.deepEqual(
      [told.code, told.status, told.retryable, told.message],
      ['agent_unreachable', 502, true, 'gone'],
    );
    const forgotten = scripted({ isCut: true }, { refusal: { status: 404, code: 'process_not_found' } });
    const refused = await failureOf(forgotten.bough.sandbox('s1').processes.of(7).output());
    assert(refused instanceof BoughApiError && refused.code === 'process_not_found');
  });

  it('is not asked for again where nobody was, nor longer than it should be', async () => {
    const nobody = scripted();
    assert(
      (await failureOf(nobody.bough.sandbox('s1').processes.of(7).output())) instanceof BoughUnreachable,
    );
    assert.equal(nobody.asked.length, 1);
    const lost = scripted({ isCut: true });
    const output = lost.bough.sandbox('s1').processes.of(7).output({}, { reconnectMs: 0 });
    assert((await failureOf(output)) instanceof BoughUnreachable);
    assert.equal(lost.asked.length, 1);
  });

  it('ends with its signal while it is waited for', async () => {
    const { bough } = scripted({ isCut: true });
    const signal = AbortSignal.timeout(20);
    // The clock of a signal keeps no process alive.
    const alive = setTimeout(() => undefined, 60_000);
    const output = bough.sandbox('s1').processes.of(7).output({}, { signal });
    const error = await failureOf(output);
    clearTimeout(alive);
    assert.equal(error, signal.reason);
  });
});

describe('FrameDecoder', () => {
  it('finds the same frames however their bytes come', () => {
    const frames = [
      frame(frameKinds.stdout, ''),
      frame(frameKinds.stderr, 'abc'),
      frame(frameKinds.end, '{}'),
    ];
    const bytes = Uint8Array.from(frames.flatMap((each) => [...each]));
    for (let size = 1; size <= bytes.length; size++) {
      const decoder = new FrameDecoder();
      const found: [number, string][] = [];
      for (let at = 0; at < bytes.length; at += size)
        for (const { kind, payload } of decoder.push(bytes.subarray(at, at + size)))
          found.push([kind, new TextDecoder().decode(payload)]);
      assert.deepEqual(found, [
        [frameKinds.stdout, ''],
        [frameKinds.stderr, 'abc'],
        [frameKinds.end, '{}'],
      ]);
    }
  });
});

describe('events', () => {
  const line = (event: string, id: string): Uint8Array =>
    encode(`${JSON.stringify({ event, id, sandbox: 's1' })}\n`);

  it('go on after the last one, whatever was cut off after it', async () => {
    const { bough, asked } = scripted(
      { bytes: [encode('\n'), line('created', 'a-1'), line('running', 'a-2').slice(0, 9)], isCut: true },
      { bytes: [encode('\n')] },
      { bytes: [line('gap', 'b-7'), line('ended', 'b-8')] },
    );
    const told = await all(bough.sandbox('s1').events());
    assert.deepEqual(
      told.map(({ event }) => event),
      ['created', 'gap', 'ended'],
    );
    assert.deepEqual(asked, ['events', 'events?from=a-1', 'events?from=a-1']);
  });

  it('of a sandbox that is gone end with what there is', async () => {
    const { bough } = scripted({ bytes: [encode('\n')] }, { bytes: [encode('\n')] });
    assert.deepEqual(await all(bough.sandbox('s1').events({ from: 'a-9' })), []);
  });
});

const TOKEN = 'k3jf8s7d6f5g4h3j2k1l0q9w8e7r6t5y';

async function running(
  t: TestContext,
  script: Partial<Host> = {},
): Promise<{ daemon: Daemon; bough: Bough }> {
  const config = loadConfig({ listen: '127.0.0.1:0', stateDir: '/nowhere' }, {});
  const daemon = await serve(config, fakeHost(script), { log: silent, drainMs: 20 });
  t.after(() => daemon.close());
  return { daemon, bough: new Bough({ url: daemon.address, webSocket: opened }) };
}

const sentHeaders: Readonly<Record<string, string>>[] = [];
const opened = (url: string, headers: Readonly<Record<string, string>>): WebSocket => {
  sentHeaders.push(headers);
  return new WebSocket(url, { headers });
};

describe('with a server', () => {
  it('leaving a streamed exec ends the program', async (t) => {
    const left = new AbortController();
    const { bough } = await running(t, {
      execStream: async function* (_id, _request, { signal }) {
        yield { type: 'stdout', bytes: Buffer.from('first') };
        await once(signal, 'abort');
        left.abort();
        yield { type: 'exit', exitCode: 137 };
      },
    });
    for await (const piece of bough.sandbox('s1').execStream(['yes'])) {
      assert(piece.type === 'stdout' && piece.text === 'first');
      break;
    }
    if (!left.signal.aborted) await once(left.signal, 'abort');
  });

  it('a terminal is there both ways, and its end is told', async (t) => {
    const { bough } = await running(t);
    const sandbox = await bough.spawn('base', { name: 'a.name' });
    const started = await bough
      .sandbox('a.name')
      .processes.start(['sh'], { pty: { cols: 80, rows: 24 }, stdin: true });
    const terminal = await started.attach();
    terminal.resize({ cols: 100, rows: 30 });
    terminal.signal(28);
    terminal.write('x'.repeat(150_000));
    terminal.endInput();
    const pieces = await all(terminal);
    const text = pieces.map((piece) => ('text' in piece ? piece.text : '')).join('');
    assert.equal(text.length, 'sh\n'.length + 150_000);
    const last = pieces.at(-1);
    assert(last?.type === 'end' && last.process.exit_code === 0);
    await assert.rejects(sandbox.processes.of(1).attach(), { code: 'process_not_found' });
  });

  it('a terminal is cut by the end of the daemon and by a signal', async (t) => {
    const { bough, daemon } = await running(t);
    const sandbox = await bough.spawn('base');
    const cat = await sandbox.processes.start(['cat'], { stdin: true });
    const control = new AbortController();
    const aborted = await cat.attach({}, { signal: control.signal });
    control.abort(new Error('enough'));
    await assert.rejects(all(aborted), { message: 'enough' });
    const attached = await cat.attach();
    await daemon.close();
    assert((await failureOf(attached)) instanceof BoughUnreachable);
  });

  it('a token is sent with a terminal too', async (t) => {
    const { daemon } = await running(t);
    const bough = new Bough({ url: daemon.address, token: TOKEN, webSocket: opened });
    const sandbox = await bough.spawn('base');
    const cat = await sandbox.processes.start(['cat'], { stdin: true });
    (await cat.attach()).close();
    assert.deepEqual(sentHeaders.at(-1), { authorization: `Bearer ${TOKEN}` });
  });

  it('a list is fetched page by page', async (t) => {
    const { bough } = await running(t);
    const made = await bough.spawnMany('base', 5, { metadata: { job: 'a' } });
    await bough.spawn('base');
    const listed = await all(bough.sandboxes.each({ selector: 'job=a', limit: 2 }));
    assert.deepEqual(listed.map(({ id }) => id).sort(), made.map(({ id }) => id).sort());
    const { removed } = await bough.sandboxes.deleteSelected('job=a');
    assert.equal(removed.length, 5);
  });
});
