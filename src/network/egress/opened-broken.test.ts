/** What is said on an opened connection that cannot be passed on: it ends that request, and nothing of anybody else's. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type {
  ClientHttp2Session,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
  ServerHttp2Stream,
} from 'node:http2';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { API, SecretLab } from '../../../test/support/secret-lab.js';

describe('an opened connection', () => {
  let lab: SecretLab;
  beforeEach(async () => {
    lab = await SecretLab.open();
    await lab.secret('sesame');
    await lab.put({ secrets: ['key'] });
    await lab.connectGate();
  });
  afterEach(() => lab.close());

  const host = (): string => `${API}:${lab.origin.port}`;
  const get = (more = '', ending = 'Connection: close\r\n'): string =>
    `GET / HTTP/1.1\r\nHost: ${host()}\r\n${more}${ending}\r\n`;
  const ask = async (session: ClientHttp2Session, headers: OutgoingHttpHeaders = {}): Promise<string> => {
    let text = '';
    for await (const chunk of session.request({ ':path': '/', ...headers })) text += String(chunk);
    return text;
  };

  it('is answered with 502 where an answer cannot be passed on', async () => {
    for (const head of [
      'HTTP/1.1 099 Low\r\nContent-Length: 0\r\n',
      'HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n',
    ]) {
      lab.origin.answer = (request) => void request.socket.write(`${head}\r\n`);
      assert.match(await lab.raw(get()), /^HTTP\/1\.1 502 Bad Gateway\r\n/, head);
    }
  });

  it('leaves a body its frame, whatever headers the request names as those of one hop', async () => {
    const inner = `GET /inner HTTP/1.1\r\nHost: ${host()}\r\n\r\n`;
    await lab.raw(
      get(`Content-Length: ${inner.length}\r\n`, 'Connection: close, content-length, host\r\n') + inner,
    );
    assert.deepEqual(
      lab.origin.seen.map(({ body, authority }) => [body, authority]),
      [[inner, host()]],
    );
  });

  it('is cut when more is asked for than anybody answers', async () => {
    lab.origin.answer = () => undefined;
    assert.equal(await lab.raw(get('', '').repeat(1000)), '');
    const session = await lab.http2();
    await once(session, 'remoteSettings');
    assert.equal(session.remoteSettings.maxConcurrentStreams, 128);
    session.destroy();
  });

  it('resets the request whose trailers cannot be passed on', async () => {
    const socket = await lab.tls(API, { ALPNProtocols: ['h2'] });
    const head = [0x83, 0x87, 0x84, ...literal([1], host())];
    const trailers = literal([0, ...text('http2-settings')], 'AA');
    const frames = [frame(4, 0, 0), frame(1, 4, 1, head), frame(0, 0, 1, [120]), frame(1, 5, 1, trailers)];
    socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), ...frames]));
    const codes: number[] = [];
    for await (const { type, payload } of framesOf(socket)) {
      if (type !== 3) continue;
      codes.push(payload.readUInt32BE(0));
      break;
    }
    assert.equal(codes.length, 1);
    assert.equal(await ask(await lab.http2()), 'hello');
  });

  it('takes an answer to a request that its client has given up', async () => {
    const { server } = lab.origin;
    server.removeAllListeners('request');
    const held: ServerHttp2Stream[] = [];
    server.on('stream', (stream: ServerHttp2Stream, { ':path': path }: IncomingHttpHeaders) => {
      stream.on('error', () => undefined);
      if (path === '/held') held.push(stream);
      else stream.end('hello');
    });
    const session = await lab.http2();
    const given = session.request({ ':method': 'POST', ':path': '/held' });
    given.on('error', () => undefined);
    given.write(Buffer.alloc(1 << 20));
    while (held.length === 0) assert.equal(await ask(session), 'hello');
    given.close();
    // What was said before it has been read.
    assert.equal(await ask(session), 'hello');
    held[0]?.respond({ ':status': 200 });
    held[0]?.end('late');
    assert.equal(await ask(session), 'hello');
    session.destroy();
  });
});

const text = (said: string): number[] => [said.length, ...Buffer.from(said)];

/** A header of HPACK that is not indexed. */
const literal = (name: readonly number[], value: string): number[] => [...name, ...text(value)];

function frame(type: number, flags: number, stream: number, payload: readonly number[] = []): Buffer {
  const { length } = payload;
  return Buffer.from([length >> 16, length >> 8, length, type, flags, 0, 0, 0, stream, ...payload]);
}

async function* framesOf(socket: AsyncIterable<Buffer>): AsyncGenerator<{ type: number; payload: Buffer }> {
  let rest = Buffer.alloc(0);
  for await (const chunk of socket) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      yield { type: rest.readUInt8(3), payload: rest.subarray(9, end) };
      rest = rest.subarray(end);
    }
  }
}
