/** Rows of kinds json and stream: what a product route of that kind may rely on. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Deferred, MiB } from '../../src/base/index.js';
import { BoughError } from '../../src/contract/index.js';
import { answered, BYTES, drip, ticks, until, withRows, type Handlers } from './rows-table.js';
import { rawExchange } from './support.js';

describe('a json row', () => {
  it('may be a PUT', async () => {
    await withRows(async ({ address }) => {
      const put = (body: unknown) =>
        fetch(`${address}/v1/number`, {
          ...{ method: 'PUT', headers: { 'content-type': 'application/json' } },
          body: JSON.stringify(body),
        });
      assert.deepEqual(await (await put({ n: 3 })).json(), { n: 3 });
      assert.equal((await put({ n: 'x' })).status, 400);
      const refused = await fetch(`${address}/v1/number`, { method: 'DELETE' });
      assert.deepEqual([refused.status, refused.headers.get('allow')], [405, 'PUT, GET, HEAD']);
    });
  });

  it('ends a body that takes too long, as a failure like any other', async () => {
    await withRows(
      async ({ port }, events) => {
        const answer = await drip(port, 'PUT /v1/number', 20, 400);
        assert.match(answer, /^HTTP\/1\.1 408 /);
        assert.match(answer, /"code":"request_timeout"/);
        assert.match(answer, /\r\nconnection: close\r\n/i);
        assert.deepEqual(answered(events), ['PUT json answered 408']);
      },
      { bodyTimeoutMs: 100 },
    );
  });

  it('does not let a body that nobody reads come for ever', async () => {
    await withRows(
      async ({ port }) => {
        const answer = await drip(port, 'GET /v1/number', 20, 10_000);
        assert.match(answer, /^HTTP\/1\.1 200 /);
      },
      { bodyTimeoutMs: 100 },
    );
  });
});

describe('a stream row', () => {
  it('passes bytes of any type through, as many as there are', async () => {
    await withRows(async ({ address }) => {
      const sent = randomBytes(3 * MiB + 1);
      for (const type of ['application/json', 'text/plain', 'x/y; z=1', undefined]) {
        const headers = type === undefined ? undefined : { 'content-type': type };
        const answer = await fetch(`${address}/v1/echo`, {
          method: 'POST',
          body: sent,
          ...(headers && { headers }),
        });
        assert.equal(answer.headers.get('content-type'), BYTES);
        assert.ok(Buffer.from(await answer.arrayBuffer()).equals(sent), type);
      }
    });
  });

  it('has PUT, and HEAD apart from GET', async () => {
    await withRows(async ({ address }) => {
      const url = `${address}/v1/file`;
      assert.equal((await fetch(url, { method: 'PUT', body: 'abc' })).status, 204);
      const head = await fetch(url, { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers.get('content-length')], [200, '5']);
      assert.equal(await (await fetch(url)).text(), 'whole');
      // Nobody reads a stream for the sake of its headers.
      assert.equal((await fetch(`${address}/v1/endless`, { method: 'HEAD' })).status, 405);
    });
  });

  it('may take longer than a json row, as long as bytes come', async () => {
    await withRows(
      async ({ port }) => {
        const answer = await drip(port, 'PUT /v1/file', 20, 30);
        assert.match(answer, /^HTTP\/1\.1 204 /);
      },
      { bodyTimeoutMs: 200 },
    );
  });

  it('ends when none come', async () => {
    await withRows(
      async ({ port }) => {
        const head = 'PUT /v1/file HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc';
        const answer = await rawExchange(port, head);
        assert.match(answer, /^HTTP\/1\.1 408 [^]*"code":"request_timeout"/);
      },
      { bodyTimeoutMs: 100 },
    );
  });

  it('reads a client no faster than its handler does, and writes no faster than the client reads', async () => {
    const reads = new Deferred<void>();
    let read = 0;
    let written = 0;
    async function* many(): AsyncGenerator<Uint8Array> {
      for (; written < 1000; written++) yield await Promise.resolve(Buffer.alloc(65_536));
    }
    const upload: Handlers['upload'] = async ({ body }) => {
      await reads.promise;
      for await (const piece of body) read += piece.length;
      return {};
    };
    await withRows(
      async ({ address, port }) => {
        const uploading = fetch(`${address}/v1/file`, { method: 'PUT', body: Buffer.alloc(8 * MiB) });
        const socket = connect(port, '127.0.0.1', () =>
          socket.pause().write('GET /v1/file HTTP/1.1\r\nHost: localhost\r\n\r\n'),
        );
        await until(() => written > 0);
        await sleep(200);
        const [early, earlyRead] = [written, read];
        assert.ok(early < 900, `${early} of 1000 pieces are written although nobody reads`);
        assert.equal(earlyRead, 0);
        reads.resolve();
        assert.equal((await uploading).status, 204);
        assert.equal(read, 8 * MiB);
        socket.resume();
        await until(() => written === 1000);
        socket.destroy();
      },
      { handlers: { upload, file: () => ({ bytes: many() }) } },
    );
  });

  it('whose client leaves aborts its handler, whichever way bytes go', async () => {
    const aborted: string[] = [];
    const upload: Handlers['upload'] = async ({ body }, { signal }) => {
      signal.addEventListener('abort', () => aborted.push('upload'));
      for await (const piece of body) assert.ok(piece);
      return {};
    };
    const endless: Handlers['endless'] = (_asked, { signal }) => {
      signal.addEventListener('abort', () => aborted.push('endless'));
      return { bytes: ticks(signal) };
    };
    await withRows(
      async ({ port, calls }, events) => {
        const down = connect(port, '127.0.0.1', () =>
          down.write('GET /v1/endless HTTP/1.1\r\nHost: localhost\r\n\r\n'),
        );
        await once(down, 'data');
        assert.equal(calls.count('stream'), 1);
        down.destroy();
        await until(() => aborted.includes('endless'));
        const up = connect(port, '127.0.0.1', () =>
          up.write('PUT /v1/file HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc'),
        );
        await until(() => calls.count('stream') === 1);
        up.destroy();
        await until(() => aborted.includes('upload'));
        await until(() => calls.count('stream') === 0);
        assert.deepEqual(
          answered(events).map((line) => line.replace(/ \d+$/, '')),
          ['GET stream left', 'PUT stream left'],
        );
      },
      { handlers: { upload, endless } },
    );
  });

  it('that fails before its answer begins is refused, and after that has no end', async () => {
    async function* failing(after: number): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < after; at++) yield await Promise.resolve(Buffer.alloc(100_000));
      throw new BoughError('sandbox_not_found', { id: 'x' });
    }
    let after = 0;
    await withRows(
      async ({ address }) => {
        const early = await fetch(`${address}/v1/file`);
        assert.deepEqual(
          [early.status, ((await early.json()) as { code: string }).code],
          [404, 'sandbox_not_found'],
        );
        after = 3;
        const late = await fetch(`${address}/v1/file`);
        assert.equal(late.status, 200);
        await assert.rejects(late.arrayBuffer());
      },
      { handlers: { file: () => ({ bytes: failing(after) }) } },
    );
  });

  it('is not open to a page of another site', async () => {
    await withRows(async ({ address }) => {
      const post = async (origin: string) =>
        (await fetch(`${address}/v1/echo`, { method: 'POST', body: 'a', headers: { origin } })).status;
      assert.equal(await post(address), 200);
      for (const origin of ['http://evil.example', 'null', 'http://localhost:1']) {
        assert.equal(await post(origin), 403, origin);
      }
    });
  });
});
