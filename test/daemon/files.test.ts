/** Routes of files over a host without VMs. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { fileEntrySchema, listLineSchema } from '../../src/contract/index.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import type { FilesHost } from '../../src/sandbox/host/guest-files.js';
import { Seeded } from '../faults/seeded.js';
import { fakeFiles } from '../support/fake-files.js';
import { until } from './rows-table.js';
import { rawExchange, testServer, type TestServer } from './support.js';

describe('routes of files', { timeout: 120_000 }, () => {
  let server: TestServer;
  let address = '';
  let id = '';
  let files: FilesHost;
  let begun = 0;
  /** Whose body has ended the wrong way while it was read. */
  let broken = 0;

  before(async () => {
    const fake = fakeFiles((given) => assert(given !== 'nowhere'));
    files = {
      ...fake,
      write: (to, what, call) => {
        begun += 1;
        return fake.write(to, what, call).catch((error: unknown) => {
          broken += 1;
          throw error;
        });
      },
    };
    server = testServer({ files });
    address = await server.app.listen({ host: '127.0.0.1', port: 0 });
    id = 'sandbox1';
  });
  after(() => stopShell(server, 50));

  const url = (query: Record<string, string>, rest = ''): string =>
    `${address}/v1/sandboxes/${id}/files${rest}?${new URLSearchParams(query).toString()}`;
  const put = (
    query: Record<string, string>,
    body: NonNullable<RequestInit['body']>,
    headers: Record<string, string> = {},
  ) => fetch(url(query), { method: 'PUT', body, headers });
  const get = (path: string, headers: Record<string, string> = {}) => fetch(url({ path }), { headers });
  const post = (rest: string, body: unknown) =>
    fetch(url({}, rest), {
      ...{ method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } },
    });
  const refusal = async (answer: Response): Promise<[number, unknown, unknown]> => {
    const { code, details } = (await answer.json()) as { code: unknown; details?: { field?: string } };
    return [answer.status, code, details?.field];
  };

  it('take bytes of any type and give them back unchanged', async () => {
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, at) => at % 256));
    const written = await put({ path: '/a b/ä', mode: '0600' }, bytes, { 'content-type': 'text/html' });
    assert.equal(written.status, 204);
    const read = await get('/a b/ä');
    assert.equal(read.headers.get('content-type'), 'application/octet-stream');
    assert.equal(read.headers.get('content-length'), '70000');
    assert.equal(read.headers.get('etag'), written.headers.get('etag'));
    assert.deepEqual(Buffer.from(await read.arrayBuffer()), bytes);
    const entry = fileEntrySchema.parse(await (await fetch(url({ path: '/a b/ä' }, '/stat'))).json());
    assert.deepEqual([entry.path, entry.mode, entry.size_bytes], ['/a b/ä', '0600', 70_000]);
  });

  it('give a part, and only of what the client has the beginning of', async () => {
    const etag = (await put({ path: 'digits' }, '0123456789')).headers.get('etag') ?? '';
    const part = async (headers: Record<string, string>) => {
      const answer = await get('digits', headers);
      return [answer.status, answer.headers.get('content-range'), await answer.text()];
    };
    assert.deepEqual(await part({ range: 'bytes=2-4' }), [206, 'bytes 2-4/10', '234']);
    assert.deepEqual(await part({ range: 'bytes=8-' }), [206, 'bytes 8-9/10', '89']);
    assert.deepEqual(await part({ range: 'bytes=-3' }), [206, 'bytes 7-9/10', '789']);
    assert.deepEqual(await part({ range: 'bytes=7-100' }), [206, 'bytes 7-9/10', '789']);
    assert.deepEqual(await part({ range: 'bytes=2-4', 'if-range': etag }), [206, 'bytes 2-4/10', '234']);
    const whole = [200, null, '0123456789'];
    assert.deepEqual(await part({ range: 'bytes=2-4', 'if-range': '"b-1"' }), whole);
    for (const range of ['bytes=4-2', 'bytes=1-2,4-5', 'lines=1-2', 'bytes=-', 'bytes=x-', 'bytes=1e3-'])
      assert.deepEqual(await part({ range }), whole, range);
    for (const range of ['bytes=10-', 'bytes=-0', 'bytes=999999999999999-'])
      assert.deepEqual((await refusal(await get('digits', { range }))).slice(0, 2), [
        416,
        'range_not_satisfiable',
      ]);
  });

  it('say that a client has it already', async () => {
    const etag = (await put({ path: 'had' }, 'x')).headers.get('etag') ?? '';
    for (const tags of [etag, `"b-1", W/${etag}`, '*']) {
      const answer = await get('had', { 'if-none-match': tags });
      assert.deepEqual([answer.status, await answer.text()], [304, '']);
    }
    assert.equal((await get('had', { 'if-none-match': '"b-1"' })).status, 200);
    const kept = await put({ path: 'had' }, 'y', { 'if-none-match': '*' });
    assert.deepEqual((await refusal(kept)).slice(0, 2), [409, 'file_exists']);
  });

  it('tell by HEAD what GET would, and send nothing', async () => {
    await put({ path: 'head' }, 'four');
    const head = await fetch(url({ path: 'head' }), { method: 'HEAD' });
    const headers = ['content-length', 'etag', 'accept-ranges', 'content-type'];
    const whole = await get('head');
    for (const name of headers) assert.equal(head.headers.get(name), whole.headers.get(name), name);
    assert.equal((await fetch(url({ path: 'absent' }), { method: 'HEAD' })).status, 404);
    const part = await fetch(url({ path: 'head' }), { method: 'HEAD', headers: { range: 'bytes=1-2' } });
    assert.deepEqual([part.status, part.headers.get('content-length')], [206, '2']);
  });

  it('send what has no size without a length, and never in parts', async () => {
    await put({ path: '/proc/stat' }, 'cpu 1');
    const answer = await get('/proc/stat', { range: 'bytes=0-1' });
    assert.deepEqual([answer.status, answer.headers.get('content-length')], [200, null]);
    assert.equal(await answer.text(), 'cpu 1');
  });

  it('name what is no text in base64, and take it so', async () => {
    const base64 = Buffer.from([0x66, 0xff]).toString('base64');
    assert.equal((await put({ path_base64: base64 }, 'odd')).status, 204);
    assert.equal(await (await fetch(url({ path_base64: base64 }))).text(), 'odd');
    const entry = fileEntrySchema.parse(await (await fetch(url({ path_base64: base64 }, '/stat'))).json());
    assert.deepEqual([entry.path, entry.path_base64], [undefined, base64]);
    const moved = await post('/move', { path_base64: base64, to: 'text' });
    assert.equal(fileEntrySchema.parse(await moved.json()).path, 'text');
  });

  it('list in lines, with an end', async () => {
    const answer = await fetch(url({ path: '.', depth: '3' }, '/list'));
    assert.equal(answer.headers.get('content-type'), 'application/x-ndjson');
    const lines = (await answer.text()).trim().split('\n');
    const parsed = lines.map((line) => listLineSchema.parse(JSON.parse(line)));
    assert.deepEqual(parsed.at(-1), { type: 'end', entries: parsed.length - 1 });
    assert(parsed.some((line) => line.type === 'entry' && line.entry.path === 'text'));
    const absent = await fetch(url({ path: 'absent' }, '/list'));
    assert.deepEqual((await refusal(absent)).slice(0, 2), [404, 'file_not_found']);
  });

  it('make, move and remove', async () => {
    const made = fileEntrySchema.parse(await (await post('/mkdir', { path: 'dir', mode: '700' })).json());
    assert.deepEqual([made.type, made.mode], ['folder', '0700']);
    assert.deepEqual((await refusal(await post('/mkdir', { path: 'dir' }))).slice(0, 2), [
      409,
      'file_exists',
    ]);
    await put({ path: 'one' }, '1');
    assert.equal((await post('/move', { path: 'one', to: 'dir' })).status, 409);
    assert.equal((await post('/move', { path: 'one', to: 'dir', replace: true })).status, 200);
    const remove = () => fetch(url({ path: 'dir', recursive: '' }), { method: 'DELETE' });
    assert.deepEqual([(await remove()).status, (await remove()).status], [204, 404]);
  });

  it('pass trees on as archives', async () => {
    const tree = (query: string, init: RequestInit = {}): Promise<Response> =>
      fetch(`${address}/v1/sandboxes/${id}/tree?${query}`, init);
    const put = await tree('path=tree&parents', { method: 'PUT', body: Buffer.from('an archive') });
    assert.deepEqual([put.status, put.headers.get('bough-entries')], [204, '1']);
    const got = await tree('path=tree');
    assert.equal(got.headers.get('content-type'), 'application/x-tar');
    assert.equal(await got.text(), 'an archive');
    assert.deepEqual((await refusal(await tree('path=absent'))).slice(0, 2), [404, 'file_not_found']);
    for (const query of ['', 'path=a&path_base64=YQ%3D%3D', 'path=a&other=1'])
      assert.equal((await tree(query)).status, 400, query);
  });

  it('refuse what names nothing or is no such request, naming the field', async () => {
    const field = async (answer: Response): Promise<unknown> => {
      const [status, code, name] = await refusal(answer);
      assert.deepEqual([status, code], [400, 'invalid_request']);
      return name;
    };
    const asked = (query: Record<string, string>, rest = '') => fetch(url(query, rest));
    assert.equal(await field(await asked({})), 'path');
    assert.equal(await field(await asked({ path: '' })), 'path');
    assert.equal(await field(await asked({ path: 'a', path_base64: 'YQ==' })), 'path');
    assert.equal(await field(await asked({ path: 'a\0' })), 'path');
    assert.equal(await field(await asked({ path: 'a'.repeat(4097) })), 'path');
    assert.equal(await field(await asked({ path_base64: 'YQ' })), 'path_base64');
    assert.equal(await field(await asked({ path_base64: 'YQBh' })), 'path_base64');
    assert.equal(await field(await asked({ path: 'a', other: '1' })), 'other');
    assert.equal(await field(await asked({ path: 'a', depth: '0' }, '/list')), 'depth');
    assert.equal(await field(await asked({ path: 'a', follow: 'maybe' }, '/stat')), 'follow');
    assert.equal(await field(await put({ path: 'a', mode: '0999' }, '')), 'mode');
    assert.equal(await field(await put({ path: 'a', user: '' }, '')), 'user');
    assert.equal(await field(await post('/move', { path: 'a' })), 'to');
    assert.equal(await field(await post('/mkdir', { path: '\ud800' })), 'path');
  });

  it('promise no more bytes than come, whatever the guest says', async () => {
    const reading = await files.read(id, { path: Buffer.from('digits') }, {} as never);
    const lying = { ...reading, file: { ...reading.file, size: 20 } };
    const liar = testServer({ files: { ...files, read: () => Promise.resolve(lying) } });
    const port = Number(new URL(await liar.app.listen({ host: '127.0.0.1', port: 0 })).port);
    const request = 'GET /v1/sandboxes/x/files?path=a HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const answer = await rawExchange(port, request).catch((error: unknown) => String(error));
    assert.doesNotMatch(answer, /no end after/);
    await stopShell(liar, 50);
  });

  it('leave a file alone when its body does not come whole', async () => {
    await put({ path: 'kept' }, 'old');
    const before = { begun, broken };
    const socket = connect(Number(new URL(address).port), '127.0.0.1');
    socket.on('error', () => undefined);
    const head = `PUT /v1/sandboxes/${id}/files?path=kept HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n`;
    socket.write(`${head}half of it`);
    await until(() => begun > before.begun);
    socket.destroy();
    await until(() => broken > before.broken);
    assert.equal(await (await get('kept')).text(), 'old');
  });

  it('answer anything, put together by chance, without a failure of their own', async (test) => {
    const chance = Seeded.fromEnvironment();
    test.diagnostic(chance.name);
    const rests = ['', '/stat', '/list', '/mkdir', '/move', '/nothing', '/%2e%2e'];
    const queries = [
      ...['', '?path=digits', '?path=', '?path=%00', '?path=%ff', '?path=a&path=b', '?path_base64=_w'],
      ...[
        '?path=digits&user=%0a',
        '?__proto__=1',
        '?path=..%2f..',
        '?path=-rf&recursive=1',
        '?path=a&mode=9',
      ],
      ...['?path=%E2%80%AE', `?path=${'%C3%A4'.repeat(3000)}`, '?path=digits&depth=1e9'],
    ];
    const bodies = [
      '',
      '{}',
      '{"path":"a"}',
      '{"path":"a","to":1}',
      '{"path":["a"]}',
      '[]',
      '\0',
      '{"path":"a","to":"b"}',
    ];
    const headers = [
      ...[{}, { range: 'bytes=0-' }, { range: 'bytes=-1,-1' }, { 'if-range': '"', range: 'bytes=1-1' }],
      ...[{ 'if-none-match': '*' }, { 'if-none-match': ',' }, { 'content-type': 'application/json' }],
    ];
    for (let count = 0; count < 400; count++) {
      const method = chance.pick(['GET', 'POST', 'PUT', 'DELETE', 'HEAD']);
      const body = method === 'POST' || method === 'PUT' ? chance.pick(bodies) : undefined;
      const what = chance.pick(['files', 'files', 'tree']);
      const path = `${address}/v1/sandboxes/${id}/${what}${chance.pick(rests)}${chance.pick(queries)}`;
      const given = { ...chance.pick<Record<string, string>>(headers) };
      const answer = await fetch(path, { method, headers: given, ...(body === undefined ? {} : { body }) });
      await answer.arrayBuffer();
      assert(answer.status < 500, `${method} ${path} ${String(body)} gave ${answer.status}`);
    }
  });
});
