/** Routes of processes, and exec as a stream, over a host without VMs. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { encodeFrame, FrameDecoder, FrameKind, type Frame } from '../../src/agent/index.js';
import { Deferred } from '../../src/base/index.js';
import {
  FRAMES_TYPE,
  NDJSON_TYPE,
  execLineSchema,
  processLineSchema,
  processSchema,
  type Process,
} from '../../src/contract/index.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import { linesEncoder } from '../../src/daemon/streams/lines.js';
import { withPauses } from '../../src/daemon/streams/pauses.js';
import { Seeded } from '../faults/seeded.js';
import { testServer, type TestServer } from './support.js';

const ALL_KINDS = new Map([1, 2, 3, 4, 5, 7, 8, 9].map((kind) => [kind, 1 << 20]));

function framesOf(bytes: Uint8Array): [number, string][] {
  const decoder = new FrameDecoder(ALL_KINDS);
  return [...decoder.push(Buffer.from(bytes))].map(({ kind, payload }: Frame) => [kind, payload.toString()]);
}

const linesOf = (text: string): unknown[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);

describe('routes of processes', () => {
  let server: TestServer;
  let address = '';
  let id = '';

  before(async () => {
    server = testServer();
    address = await server.app.listen({ host: '127.0.0.1', port: 0 });
    const spawned = await post('/v1/sandboxes', { snapshot_tag: 'base' });
    [{ id }] = (await spawned.json()) as [{ id: string }];
  });
  after(() => stopShell(server, 50));

  const post = (path: string, body: unknown, accept?: string): Promise<Response> =>
    fetch(`${address}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(accept === undefined ? {} : { accept }) },
      body: JSON.stringify(body),
    });
  const path = (rest = ''): string => `/v1/sandboxes/${id}/processes${rest}`;
  const start = async (body: unknown): Promise<Process> =>
    processSchema.parse(await (await post(path(), body)).json());
  const codeOf = async (answer: Response): Promise<[number, unknown]> => [
    answer.status,
    ((await answer.json()) as { code: unknown }).code,
  ];

  it('start a program and find it again', async () => {
    const started = await post(path(), { shell: 'echo $A', tag: 'x' });
    const process = processSchema.parse(await started.json());
    assert.deepEqual([started.status, process.args, process.tag], [201, ['sh', '-c', 'echo $A'], 'x']);
    assert.deepEqual(await (await fetch(`${address}${path(`/${process.pid}`)}`)).json(), process);
    const all = (await (await fetch(address + path())).json()) as Process[];
    assert(all.some(({ pid }) => pid === process.pid));
  });

  it('refuse what is no such request, naming the field', async () => {
    const refused = async (body: unknown): Promise<unknown> => {
      const answer = await post(path(), body);
      assert.equal(answer.status, 400);
      return ((await answer.json()) as { details: { field: string } }).details.field;
    };
    assert.equal(await refused({}), 'args');
    assert.equal(await refused({ args: ['a'], shell: 'b' }), 'args');
    assert.equal(await refused({ args: ['a'], unknown: 1 }), 'unknown');
    assert.equal(await refused({ args: ['a'], pty: { cols: 0, rows: 1 } }), 'pty.cols');
    assert.equal(await refused({ args: ['a'], pty: { cols: 1, rows: 1, x: 1 } }), 'pty.x');
    assert.equal(await refused({ args: ['a'], on_disconnect: 'kill' }), 'on_disconnect');
    assert.equal(await refused({ args: ['a\0'] }), 'args.0');
    assert.deepEqual(await codeOf(await post(path(), { args: ['absent'] })), [400, 'process_not_started']);
    const streamed = await post(path(), { args: ['absent'] }, NDJSON_TYPE);
    assert.deepEqual(await codeOf(streamed), [400, 'process_not_started']);
  });

  it('tell a process that is not there from a sandbox that is not', async () => {
    for (const [rest, method] of [
      ['/99999', 'GET'],
      ['/99999/output', 'GET'],
      ['/99999/signal', 'POST'],
      ['/99999/stdin', 'POST'],
    ] as const)
      assert.deepEqual(await codeOf(await fetch(address + path(rest), { method })), [
        404,
        'process_not_found',
      ]);
    const nowhere = await fetch(`${address}/v1/sandboxes/nowhere/processes/1`);
    assert.deepEqual(await codeOf(nowhere), [404, 'sandbox_not_found']);
    for (const pid of ['x', '-1', '1e3', '0x1', '%00', '9'.repeat(40)])
      assert.deepEqual(await codeOf(await fetch(address + path(`/${pid}`))), [400, 'invalid_request']);
  });

  it('give output in lines or in frames, as is asked for', async () => {
    const { pid } = await start({ args: ['hello'] });
    const output = (query: string, accept?: string): Promise<Response> =>
      fetch(`${address}${path(`/${pid}/output`)}${query}`, {
        headers: accept === undefined ? {} : { accept },
      });
    const lines = await output('');
    assert.equal(lines.headers.get('content-type'), NDJSON_TYPE);
    const parsed = linesOf(await lines.text()).map((line) => processLineSchema.parse(line));
    assert.deepEqual(parsed[0], { type: 'stdout', text: 'hello\n' });
    assert(parsed[1]?.type === 'end' && parsed[1].process.exit_code === 0);
    const frames = await output('?stdout_from=2&follow=1', `text/html, ${FRAMES_TYPE};q=0.9`);
    assert.equal(frames.headers.get('content-type'), FRAMES_TYPE);
    const [first, last] = framesOf(Buffer.from(await frames.arrayBuffer()));
    assert.deepEqual(first, [FrameKind.stdout, 'llo\n']);
    assert.equal(last?.[0], FrameKind.end);
    for (const query of ['?stdout_from=-1', '?follow=maybe', '?other=1'])
      assert.equal((await output(query)).status, 400, query);
  });

  it('stream a program from its start, and end it with a client that says so', async () => {
    const body = { args: ['x'], stdin: true, on_disconnect: 'kill' };
    const answer = await post(path(), body, NDJSON_TYPE);
    assert.equal(answer.status, 200);
    const reader = answer.body?.getReader();
    const { value } = (await reader?.read()) as { value: Uint8Array };
    const [started] = linesOf(Buffer.from(value).toString()).map((line) => processLineSchema.parse(line));
    assert(started?.type === 'started');
    await reader?.cancel();
    let ended: Process | undefined;
    for (let attempt = 0; attempt < 100 && ended?.running !== false; attempt++) {
      await sleep(10);
      ended = (await (await fetch(address + path(`/${started.process.pid}`))).json()) as Process;
    }
    assert.deepEqual([ended?.exit_code, ended?.signal], [137, 'SIGKILL']);
  });

  it('take input of any type, and signals by name', async () => {
    const { pid } = await start({ args: ['cat'], stdin: true });
    const feed = (query: string, body: Uint8Array): Promise<Response> =>
      fetch(`${address}${path(`/${pid}/stdin`)}${query}`, {
        ...{ method: 'POST', body, headers: { 'content-type': 'text/html' } },
      });
    const fed = await feed('', Buffer.from([0, 255]));
    assert.deepEqual([fed.status, fed.headers.get('bough-stdin-bytes')], [204, '2']);
    for (const [signal, code] of [
      ['NOPE', 'invalid_request'],
      [65, 'invalid_request'],
    ] as const)
      assert.deepEqual(await codeOf(await post(path(`/${pid}/signal`), { signal })), [400, code]);
    assert.equal((await post(path(`/${pid}/signal`), { signal: 'TERM' })).status, 204);
    assert.deepEqual(await codeOf(await post(path(`/${pid}/signal`), {})), [409, 'process_ended']);
    assert.deepEqual(await codeOf(await feed('?eof=1', Buffer.from('x'))), [409, 'stdin_closed']);
    const sizes = await post(path(`/${pid}/resize`), { cols: 1, rows: 1 });
    assert.deepEqual(await codeOf(sizes), [409, 'no_terminal']);
  });

  it('attach both ways over a WebSocket', async () => {
    const { pid } = await start({ args: ['cat'], stdin: true, pty: { cols: 80, rows: 24 } });
    const socket = new WebSocket(`${address.replace('http', 'ws')}${path(`/${pid}/attach`)}`);
    const frames: [number, string][] = [];
    socket.on('message', (bytes: Buffer) => frames.push(...framesOf(bytes)));
    await once(socket, 'open');
    const input = encodeFrame(FrameKind.stdin, Buffer.from('typed'));
    // Frames end where they end, not where messages do.
    socket.send(input.subarray(0, 3));
    socket.send(input.subarray(3));
    while (!frames.some(([, text]) => text.includes('typed'))) await sleep(5);
    socket.send(encodeFrame(FrameKind.stdin, Buffer.alloc(0)));
    const [code] = (await once(socket, 'close')) as [number];
    assert.equal(code, 1000);
    assert.deepEqual(frames[0], [FrameKind.pty, 'cat\n']);
    assert.equal(frames.at(-1)?.[0], FrameKind.end);
  });

  it('close a WebSocket with the code of what is wrong', async () => {
    const socket = new WebSocket(`${address.replace('http', 'ws')}${path('/99999/attach')}`);
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    assert.deepEqual([code, reason.toString()], [1011, 'process_not_found']);
  });

  it('exec streams when it is asked to, and answers as ever when it is not', async () => {
    const exec = (accept?: string): Promise<Response> =>
      post(`/v1/sandboxes/${id}/exec`, { args: ['echo', 'hi'] }, accept);
    const lines = linesOf(await (await exec(NDJSON_TYPE)).text()).map((line) => execLineSchema.parse(line));
    assert.deepEqual(lines, [
      { type: 'stdout', text: 'echo hi\n' },
      { type: 'end', exit_code: 0 },
    ]);
    const frames = framesOf(Buffer.from(await (await exec(FRAMES_TYPE)).arrayBuffer()));
    assert.deepEqual(frames.at(-1), [FrameKind.end, '{"exit_code":0}']);
    for (const accept of [undefined, '*/*', 'application/json', 'text/x'])
      assert.equal(((await (await exec(accept)).json()) as { stdout: string }).stdout, 'echo hi\n');
    const nowhere = await post('/v1/sandboxes/nowhere/exec', { args: ['x'] }, NDJSON_TYPE);
    assert.deepEqual(await codeOf(nowhere), [404, 'sandbox_not_found']);
  });

  it('answer anything, put together by chance, without a failure of their own', async (test) => {
    const chance = Seeded.fromEnvironment();
    test.diagnostic(chance.name);
    const methods = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD'];
    const rests = [
      '',
      '/100',
      '/101',
      '/0',
      '/x',
      '/%2e%2e',
      '/100/output',
      '/100/stdin',
      '/100/signal',
      '/101/resize',
      '/100/attach',
      '/100/nothing',
    ];
    const queries = [
      '',
      '?follow=0',
      '?stdout_from=999999999999',
      '?stderr_from=x',
      '?eof=1',
      '?__proto__=1',
      '?eof=1&eof=0',
    ];
    const bodies = [
      '',
      '{}',
      '{"args":["x"]}',
      '{"shell":1}',
      '{"signal":9}',
      '{"signal":"SIGRTMAX+99"}',
      '{"cols":1,"rows":1}',
      '{"args":[]}',
      '{"__proto__":{"args":["x"]}}',
      '[]',
      '{"args":["x"],"pty":{"cols":1e999,"rows":-0}}',
      '\u0000',
      '{"args":["\\ud800"],"env":{"=":"x"}}',
    ];
    const types = ['application/json', 'text/plain', 'application/octet-stream', ''];
    for (let count = 0; count < 400; count++) {
      const method = chance.pick(methods);
      const hasBody = method === 'POST' || method === 'PUT';
      const type = chance.pick(types);
      const accept = chance.pick([NDJSON_TYPE, FRAMES_TYPE, '*/*']);
      const url = `${path(chance.pick(rests))}${chance.pick(queries)}`;
      const body = hasBody ? chance.pick(bodies) : undefined;
      const headers = { accept, ...(type === '' ? {} : { 'content-type': type }) };
      const answer = await fetch(address + url, { method, headers, ...(body === undefined ? {} : { body }) });
      await answer.text();
      assert(answer.status < 500, `${method} ${url} ${String(body)} gave ${answer.status}`);
    }
  });
});

describe('output in lines', () => {
  it('keeps characters whole, and tells bytes that are no text', () => {
    const encoder = linesEncoder();
    const euro = Buffer.from('€');
    const pieces = [
      Buffer.concat([Buffer.from('a'), euro.subarray(0, 1)]),
      euro.subarray(1),
      Buffer.from([255, 10]),
    ];
    const lines = pieces.flatMap((bytes) =>
      linesOf(Buffer.from(encoder.piece({ type: 'stdout', bytes })).toString()),
    );
    assert.deepEqual(lines, [
      { type: 'stdout', text: 'a' },
      { type: 'stdout', text: '€' },
      { type: 'stdout', base64: '/wo=' },
    ]);
    encoder.piece({ type: 'stderr', bytes: euro.subarray(0, 2) });
    const end = linesOf(Buffer.from(encoder.piece({ type: 'exit', exitCode: 1 })).toString());
    assert.deepEqual(end, [
      { type: 'stderr', base64: euro.subarray(0, 2).toString('base64') },
      { type: 'end', exit_code: 1 },
    ]);
  });

  it('puts every byte together again, however it was cut', () => {
    const chance = Seeded.fromEnvironment();
    const text = Buffer.concat(
      Array.from({ length: 200 }, () => Buffer.from(chance.pick(['é', '€', '😀', 'x', '\n']))),
    );
    for (let run = 0; run < 50; run++) {
      const encoder = linesEncoder();
      let out = '';
      for (let at = 0; at < text.length;) {
        const length = 1 + chance.below(5);
        out += Buffer.from(encoder.piece({ type: 'pty', bytes: text.subarray(at, at + length) })).toString();
        at += length;
      }
      const joined = linesOf(out).map((line) => (line as { text: string }).text);
      assert.equal(joined.join(''), text.toString());
    }
  });
});

describe('a stream with nothing to say', () => {
  it('says so now and again, and loses nothing', async () => {
    const pausedTwice = new Deferred<undefined>();
    const source = (async function* () {
      yield 1;
      await pausedTwice.promise;
      yield 2;
    })();
    const seen: (number | undefined)[] = [];
    for await (const each of withPauses(source, 1)) {
      seen.push(each);
      if (seen.length === 3) pausedTwice.resolve(undefined);
    }
    assert.deepEqual(seen, [1, undefined, undefined, 2]);
  });
});

describe('a slow reader', () => {
  it('makes the source wait', async () => {
    let taken = 0;
    const server = testServer({
      execStream: async function* () {
        for (; taken < 10_000; taken++) {
          await Promise.resolve();
          yield { type: 'stdout', bytes: Buffer.alloc(64 << 10) };
        }
        yield { type: 'exit', exitCode: 0 };
      },
    });
    const address = await server.app.listen({ host: '127.0.0.1', port: 0 });
    const socket = connect(Number(new URL(address).port), '127.0.0.1');
    const body = '{"args":["x"]}';
    socket.pause();
    socket.write(
      `POST /v1/sandboxes/x/exec HTTP/1.1\r\nHost: localhost\r\nAccept: ${FRAMES_TYPE}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    // Until what the kernel holds is full, and nobody asks for more.
    let before = -1;
    while (taken === 0 || taken !== before) {
      before = taken;
      await sleep(300);
    }
    assert(taken < 1000, `${taken} pieces`);
    socket.destroy();
    await stopShell(server, 50);
  });
});
