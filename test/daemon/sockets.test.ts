/** Rows of kind socket, and what stopping means to whatever is open. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { WebSocket } from 'ws';
import { MiB } from '../../src/base/index.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import { answered, drip, until, withRows, type Handlers } from './rows-table.js';
import { rawExchange } from './support.js';

/** Opens a socket and resolves with how it ended: an HTTP status, or the code and reason of its close. */
async function endOf(url: string, headers: Record<string, string> = {}): Promise<unknown[]> {
  const socket = new WebSocket(url.replace('http', 'ws'), { headers });
  return new Promise((resolve) => {
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (request, response) => {
      resolve([response.statusCode]);
      request.destroy();
    });
    socket.on('close', (code, reason) => resolve([code, reason.toString()]));
  });
}

describe('a socket row', () => {
  it('carries messages both ways, and ends when its handler does', async () => {
    await withRows(async ({ address, calls }, events) => {
      const socket = new WebSocket(`${address.replace('http', 'ws')}/v1/socket/hi`);
      await once(socket, 'open');
      socket.send('there');
      const [message] = (await once(socket, 'message')) as [Buffer];
      assert.equal(message.toString(), 'hi there');
      assert.equal(calls.count('socket'), 1);
      socket.close();
      await until(() => calls.count('socket') === 0);
      assert.deepEqual(await endOf(`${address}/v1/socket/end`), [1000, '']);
      assert.deepEqual(await endOf(`${address}/v1/socket/refuse`), [1011, 'sandbox_not_found']);
      await until(() => answered(events).length === 3);
      assert.deepEqual(answered(events), [
        'GET socket left 101',
        'GET socket answered 101',
        'GET socket answered 101',
      ]);
    });
  });

  it('is a failure in the log when its handler fails, not when its client leaves', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
    const failures = () => lines.filter((line) => line.includes('a socket failed')).length;
    const handlers: Partial<Handlers> = {
      socket: async ({ params }, { signal }) => {
        if (params.word === 'fail') throw new Error('failed');
        await once(new EventTarget(), 'never', { signal });
      },
    };
    await withRows(
      async ({ address, calls }, events) => {
        const socket = new WebSocket(`${address.replace('http', 'ws')}/v1/socket/wait`);
        await once(socket, 'open');
        await until(() => calls.count('socket') === 1);
        socket.close();
        await until(() => answered(events).length === 1 && calls.count('socket') === 0);
        assert.equal(failures(), 0);
        assert.deepEqual(await endOf(`${address}/v1/socket/fail`), [1011, 'internal']);
        assert.equal(failures(), 1);
      },
      { handlers, log },
    );
  });

  it('refuses over HTTP what may not become one', async () => {
    await withRows(
      async ({ address, port }) => {
        const right = { authorization: 'Bearer k3jf8s7d6f5g4h3j2k1l0q9w8e7r6t5y' };
        assert.deepEqual(await endOf(`${address}/v1/socket/hi`), [401]);
        assert.deepEqual(await endOf(`${address}/v1/socket/much-too-long`, right), [400]);
        assert.deepEqual(
          await endOf(`${address}/v1/socket/hi`, { ...right, origin: 'http://evil.example' }),
          [403],
        );
        assert.deepEqual(await endOf(`${address}/v1/nothing`, right), [404]);
        const handshake =
          'GET /v1/socket/hi HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';
        // Resolves once the connection is closed: who may not pass keeps none.
        assert.match(await rawExchange(port, handshake), /^HTTP\/1\.1 401 [^]*"code":"unauthorized"/);
        const plain = await fetch(`${address}/v1/socket/hi`, { headers: right });
        assert.deepEqual(
          [plain.status, ((await plain.json()) as { code: string }).code],
          [400, 'malformed_http'],
        );
      },
      { token: 'k3jf8s7d6f5g4h3j2k1l0q9w8e7r6t5y' },
    );
  });

  it('ends at a message that is too large', async () => {
    await withRows(async ({ address }) => {
      const socket = new WebSocket(`${address.replace('http', 'ws')}/v1/socket/hi`);
      await once(socket, 'open');
      socket.send(Buffer.alloc(MiB + 1));
      assert.equal((await once(socket, 'close'))[0], 1009);
    });
  });

  it('leaves requests alone that ask for another upgrade, body and all', async () => {
    await withRows(async ({ port }) => {
      const exchange = (line: string, upgrade: string) =>
        rawExchange(
          port,
          `${line} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: ${upgrade}\r\n` +
            'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"n":5}',
        );
      for (const upgrade of ['h2c', 'websocket']) {
        const answer = await exchange('PUT /v1/number', upgrade);
        assert.match(answer, /^HTTP\/1\.1 200 [^]*\{"n":5\}$/);
      }
      assert.match(await exchange('GET /v1/number', 'websocket'), /^HTTP\/1\.1 200 [^]*\{"n":7\}$/);
    });
  });
});

describe('stopping', () => {
  it('ends sockets at once, and streams once their time is over', async () => {
    await withRows(async (shell, events) => {
      const socket = new WebSocket(`${shell.address.replace('http', 'ws')}/v1/socket/hi`);
      await once(socket, 'open');
      const endless = await fetch(`${shell.address}/v1/endless`);
      const closed = once(socket, 'close');
      const cut = assert.rejects(endless.arrayBuffer());
      const stopped = stopShell(shell, 200);
      assert.deepEqual((await closed)[0], 1001);
      assert.equal(shell.calls.count('stream'), 1);
      await Promise.all([cut, stopped]);
      await until(() => answered(events).length === 2);
      assert.deepEqual(answered(events), ['GET socket stopped 101', 'GET stream stopped 200']);
    });
  });

  it('waits for an upload that ends in time', async () => {
    await withRows(async (shell) => {
      const uploading = drip(shell.port, 'PUT /v1/file', 10, 20);
      await until(() => shell.calls.count('stream') === 1);
      await stopShell(shell, 5_000);
      assert.match(await uploading, /^HTTP\/1\.1 204 /);
    });
  });
});
