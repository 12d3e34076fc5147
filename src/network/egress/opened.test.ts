/** Secrets in requests of guests: that they come to where they are for, and to nothing and nobody else. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import type { ClientHttp2Session, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { execa } from 'execa';
import { API, OTHER, SecretLab } from '../../../test/support/secret-lab.js';

const VALUE = 'sesame-0123456789';

describe('a secret in a request', () => {
  let lab: SecretLab;
  beforeEach(async () => {
    lab = await SecretLab.open();
    await lab.secret(VALUE);
    assert.deepEqual(await lab.put({ secrets: ['key'] }), { ok: null });
    await lab.connectGate();
  });
  afterEach(() => lab.close());

  const host = (name = API): string => `${name}:${lab.origin.port}`;
  const get = (path = '/', more = ''): string =>
    `GET ${path} HTTP/1.1\r\nHost: ${host()}\r\n${more}Connection: close\r\n\r\n`;
  const log = async (): Promise<Record<string, unknown>[]> =>
    (await readFile(join(lab.dir, 'log'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const authorizations = (): unknown[] => lab.origin.seen.map(({ headers }) => headers['authorization']);
  const ask = async (
    session: ClientHttp2Session,
    headers: OutgoingHttpHeaders = {},
    body?: string,
  ): Promise<{ headers: IncomingHttpHeaders; body: string; trailers: IncomingHttpHeaders }> => {
    const stream = session.request({ ':method': body === undefined ? 'GET' : 'POST', ...headers });
    let trailers: IncomingHttpHeaders = {};
    let answered: IncomingHttpHeaders = {};
    stream.on('trailers', (said: IncomingHttpHeaders) => (trailers = said));
    stream.on('response', (said) => (answered = said));
    stream.end(body);
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    return { headers: answered, body: text, trailers };
  };

  it('takes the place of the header that the guest set, in HTTP/1.1, whatever a body is framed by', async () => {
    const answer = await lab.raw(
      `POST /a HTTP/1.1\r\nHost: ${host()}\r\nauthorization: Bearer mine\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: 4\r\n\r\nbody` +
        `GET /b HTTP/1.1\r\nHost: ${host()}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n${get('/c')}`,
    );
    assert.equal(answer.match(/HTTP\/1\.1 200 OK/g)?.length, 3);
    assert.equal(answer.match(/hello/g)?.length, 3);
    assert.deepEqual(
      lab.origin.seen.map(({ path, body, authority }) => [path, body, authority]),
      ['/a body', '/b abc', '/c '].map((line) => [...line.split(' '), host()]),
    );
    assert.deepEqual(authorizations(), Array(3).fill(`Bearer ${VALUE}`));
    assert.equal(lab.origin.seen[0]?.headers['x-two'], '1, 2');
    const requests = (await log()).filter(({ kind }) => kind === 'http');
    assert.deepEqual(
      requests.map(({ method, verdict, secrets }) => [method, verdict, secrets]),
      ['POST', 'GET', 'GET'].map((method) => [method, 'allowed', ['key']]),
    );
  });

  it('is in HTTP/2 too, whose trailers pass', async () => {
    lab.origin.answer = (_request, response) => {
      response.addTrailers({ 'grpc-status': '0' });
      response.end('counted');
    };
    const session = await lab.http2();
    const first = await ask(session, { authorization: 'Bearer mine', te: 'trailers' }, 'x'.repeat(100_000));
    const second = await ask(session, { ':path': '/two' });
    assert.deepEqual([first.body, first.trailers['grpc-status']], ['counted', '0']);
    assert.equal(second.headers[':status'], 200);
    assert.deepEqual(
      lab.origin.seen.map(({ version, path, authority }) => [version, path, authority]),
      ['/', '/two'].map((path) => ['2.0', path, host()]),
    );
    assert.equal(lab.origin.seen[0]?.body.length, 100_000);
    assert.deepEqual(authorizations(), Array(2).fill(`Bearer ${VALUE}`));
    session.close();
  });

  it('goes with what real programs ask', async () => {
    const { port, close } = await lab.port();
    const trusted = join(lab.dir, 'guest.pem');
    await execa('sh', ['-c', 'cat > "$0"', trusted], { input: lab.certificate });
    for (const version of ['--http1.1', '--http2']) {
      const to = ['--connect-to', `${host()}:127.0.0.1:${port}`, `https://${host()}/v1`];
      const upload = ['-H', 'Expect: 100-continue', '--data-binary', '@-'];
      const { stdout } = await execa('curl', ['-sSf', version, '--cacert', trusted, ...upload, ...to], {
        input: 'y'.repeat(3_000_000),
      });
      assert.equal(stdout, 'hello');
    }
    assert.deepEqual(
      lab.origin.seen.map(({ version, body }) => [version, body.length]),
      ['1.1', '2.0'].map((version) => [version, 3_000_000]),
    );
    assert.deepEqual(authorizations(), Array(2).fill(`Bearer ${VALUE}`));
    close();
  });

  it('is in no request that says it is for another, or could be read in two ways', async () => {
    const length = (text: string): string => `Content-Length: ${text.length}\r\n\r\n${text}`;
    const to = (more: string, start = 'POST / HTTP/1.1'): string => `${start}\r\nHost: ${host()}\r\n${more}`;
    const smuggled = `GET /smuggled HTTP/1.1\r\nHost: ${OTHER}\r\n\r\n`;
    const hostile: readonly (readonly [text: string, status: number | undefined])[] = [
      [get().replace(host(), host(OTHER)), 421],
      [get().replace(host(), API), 421],
      [get().replace(host(), `${API}:443`), 421],
      [get().replace(host(), `user@${host()}`), 421],
      [get().replace(host(), ''), 421],
      [to(`Host: ${OTHER}\r\n${length('')}`), 400],
      [to(`Host: ${host()}\r\n${length('')}`), 400],
      ['GET / HTTP/1.1\r\n\r\n', 400],
      [to('\r\n', `GET https://${OTHER}/ HTTP/1.1`), 400],
      [to('\r\n', `GET https://${host()}/ HTTP/1.1`), 400],
      [to('\r\n', `CONNECT ${OTHER}:443 HTTP/1.1`), undefined],
      [to(`Transfer-Encoding: chunked\r\n${length(`0\r\n\r\n${smuggled}`)}`), undefined],
      [to(`Content-Length: 5\r\n${length(`hello${smuggled}`)}`), undefined],
      [to(`Transfer-Encoding: xchunked\r\n\r\n${smuggled}`), undefined],
      [to(`Transfer-Encoding: chunked, identity\r\n\r\n${smuggled}`), undefined],
      [to(`Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`), undefined],
      [to(`X: a\rTransfer-Encoding: chunked\r\n${length(smuggled)}`), undefined],
      [to(`Content-Length: +5\r\n\r\nhello${smuggled}`), undefined],
      [to(`Transfer-Encoding: chunked\r\n\r\n5;\n\r\nhello\r\n0\r\n\r\n`), undefined],
      [
        to(
          'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n',
          'GET / HTTP/1.1',
        ),
        400,
      ],
      ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', undefined],
      ['GET /\r\n\r\n', undefined],
      ['\x00\x01\x02', undefined],
    ];
    for (const [text, status] of hostile) {
      const answer = await lab.raw(text);
      const said = JSON.stringify(text);
      if (status !== undefined) assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `), said);
      else assert.doesNotMatch(answer, /^HTTP\/1\.1 [23]/, said);
      assert(!answer.includes(VALUE), said);
      assert.deepEqual(lab.origin.seen, [], said);
    }
  });

  it('is in the request that was meant when a body, a fold or a later request pretends another', async () => {
    const smuggled = `GET /smuggled HTTP/1.1\r\nHost: ${OTHER}\r\n\r\n`;
    await lab.raw(`${get('/a', `Content-Length: ${smuggled.length}\r\n`)}${smuggled}`);
    assert.deepEqual([lab.origin.seen.length, lab.origin.seen[0]?.body], [1, smuggled]);
    // The second of two is refused, the third never read.
    const answer = await lab.raw(`GET /b HTTP/1.1\r\nHost: ${host()}\r\n\r\n${smuggled}${get('/c')}`);
    assert.match(answer, /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 421 /);
    // A header that this hop is told to drop is not one that it sets.
    await lab.raw(get('/d', 'Connection: authorization, x-mine\r\nX-Mine: 1\r\n'));
    await lab.raw(get('/e', 'X-Folded: a\r\n Host: other.example\r\n'));
    const paths = lab.origin.seen.map(({ path }) => path);
    assert(!paths.includes('/smuggled') && !paths.includes('/c'));
    assert(paths.includes('/d'));
    assert.equal(lab.origin.seen.find(({ path }) => path === '/d')?.headers['x-mine'], undefined);
    assert(lab.origin.seen.every(({ authority }) => authority === host()));
    assert(authorizations().every((text) => text === `Bearer ${VALUE}`));
  });

  it('is in no HTTP/2 request for another', async () => {
    const session = await lab.http2();
    const refused: readonly (readonly [OutgoingHttpHeaders, number])[] = [
      [{ ':authority': host(OTHER) }, 421],
      [{ ':authority': host(), host: host(OTHER) }, 400],
      [{ ':authority': API }, 421],
    ];
    for (const [headers, status] of refused)
      assert.equal((await ask(session, headers)).headers[':status'], status, JSON.stringify(headers));
    const tunnel = session.request({ ':method': 'CONNECT', ':authority': host() }, { endStream: false });
    tunnel.on('error', () => undefined);
    const [{ ':status': status }] = (await once(tunnel, 'response')) as [IncomingHttpHeaders];
    assert.equal(status, 405);
    assert.deepEqual(lab.origin.seen, []);
    assert.equal((await ask(session)).body, 'hello');
    session.close();
  });

  it('is on no connection whose client says another name, or none, or speaks something else', async () => {
    for (const options of [{ servername: OTHER }, { servername: '' }, { ALPNProtocols: ['mqtt'] }]) {
      const socket = await lab.tls(API, { ...options, checkServerIdentity: () => undefined });
      assert(socket.destroyed, JSON.stringify(options));
      assert(!(await lab.gate.isEnded(socket.seq)));
    }
    const { socket, seq } = await lab.dial();
    socket.on('end', () => socket.end());
    socket.write(get());
    await once(socket.resume(), 'close');
    assert(!(await lab.gate.isEnded(seq)));
    assert.deepEqual(lab.origin.seen, []);
    const cut = (await log()).filter(({ why }) => String(why).startsWith('the client s'));
    assert.equal(cut.length, 4);
  });

  it('is not for other names: their TLS is left as it is', async () => {
    const trusting = { ca: await readFile(lab.trustFile, 'utf8') };
    const socket = await lab.tls(OTHER, trusting);
    socket.write(get().replace(host(), host(OTHER)));
    await once(socket.resume(), 'close');
    assert.deepEqual(authorizations(), [undefined]);
    const opened = await lab.tls(API, trusting);
    assert(opened.destroyed, 'the certificate of the egress is not the one of the name');
  });

  it('that was removed stops what would have had it; a new value is in the next request', async () => {
    const session = await lab.http2();
    await ask(session);
    await lab.secret('another');
    await ask(session);
    await lab.secret(undefined);
    const refused = await ask(session);
    assert.deepEqual(
      [refused.headers[':status'], refused.body],
      [502, 'bough: the secret "key" was removed from this host\n'],
    );
    assert.match(await lab.raw(get()), /^HTTP\/1\.1 502 /);
    await lab.secret('a-third');
    assert.match(await lab.raw(get()), /^HTTP\/1\.1 200 /);
    assert.deepEqual(
      authorizations(),
      [VALUE, 'another', 'a-third'].map((value) => `Bearer ${value}`),
    );
    session.close();
  });

  it('that the policy names no more cuts what was opened for it', async () => {
    const socket = await lab.tls();
    await lab.put({ secrets: undefined });
    await once(socket.resume(), 'close');
    assert(!(await lab.gate.isEnded(socket.seq)));
    const open = await lab.tls(API, { ca: await readFile(lab.trustFile, 'utf8') });
    open.write(get());
    await once(open.resume(), 'close');
    assert.deepEqual(authorizations(), [undefined]);
  });

  it('is sent to nobody whom this host does not trust', async () => {
    await lab.read(join(lab.folder, 'authority.pem'));
    for (const answer of [await lab.raw(get()), (await ask(await lab.http2())).body])
      assert.match(answer, /bough: api\.example cannot be trusted: /);
    assert.deepEqual(lab.origin.seen, []);
  });

  it('is there again after the egress was, which must be told of it before a policy that names it', async () => {
    const { certificate } = lab;
    await lab.stop();
    await lab.start();
    assert.match(
      (await lab.put({ secrets: ['key'] })).error?.problem ?? '',
      /"key", which is not known here/,
    );
    await lab.read();
    await lab.put({ secrets: ['key'] });
    await lab.connectGate();
    assert.equal(lab.certificate, certificate);
    assert.match(await lab.raw(get()), /^HTTP\/1\.1 200 /);
    assert.deepEqual(authorizations(), [`Bearer ${VALUE}`]);
  });

  it('is in the request that becomes a WebSocket, whose bytes pass both ways', async () => {
    lab.origin.server.on(
      'upgrade',
      (request: { headers: IncomingHttpHeaders; url: string }, socket: NodeJS.ReadWriteStream) => {
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Saw: ${request.headers.authorization}\r\n\r\n`,
        );
        socket.pipe(socket);
      },
    );
    const socket = await lab.tls(API, { ALPNProtocols: ['http/1.1'] });
    socket.write(get('/', 'Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n').replace('close', 'Upgrade'));
    let said = '';
    socket.on('data', (chunk: Buffer) => {
      if (said === '') socket.write('ping');
      said += chunk.toString();
      if (said.endsWith('ping')) socket.end();
    });
    await once(socket, 'close');
    assert.match(said, new RegExp(`^HTTP/1.1 101 [^]*X-Saw: Bearer ${VALUE}\r\n\r\nping$`));
    assert(await lab.gate.isEnded(socket.seq));
  });

  it('does not make an answer whole that was cut', async () => {
    lab.origin.answer = (_request, response) => {
      response.setHeader('content-length', '1000');
      response.write('some');
      setImmediate(() => [...lab.origin.sockets].forEach((socket) => socket.destroy()));
    };
    const socket = await lab.tls(API, { ALPNProtocols: ['http/1.1'] });
    socket.write(get());
    await once(socket.resume(), 'close');
    assert(!(await lab.gate.isEnded(socket.seq)));
    const stream = (await lab.http2()).request({ ':method': 'GET' });
    stream.on('error', () => undefined);
    await once(stream.resume(), 'close');
    assert.notEqual(stream.rstCode, 0);
  });

  it('is kept in its own file, which others cannot read, and is said nowhere else', async () => {
    await lab.raw(get());
    await lab.secret('', { value: '{' });
    await lab.secret(VALUE);
    const entries = await readdir(lab.dir, { recursive: true, withFileTypes: true });
    const holding: string[] = [];
    for (const { name, parentPath } of entries.filter((entry) => entry.isFile()))
      if ((await readFile(join(parentPath, name), 'latin1')).includes(VALUE)) holding.push(name);
    assert.deepEqual(holding, ['key.json']);
  });
});
