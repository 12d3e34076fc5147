/** Pages of origins that the configuration names. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { testServer, token } from './support.js';

const page = 'https://page.example';
const asks = {
  'access-control-request-method': 'PUT',
  'access-control-request-headers': 'authorization,prefer',
};

describe('a page of an origin that is allowed', () => {
  it('may call a daemon that needs no token, and read what it answers and refuses', async () => {
    const { app } = testServer({}, { allowedOrigins: [page] });
    const headers = { origin: page, 'sec-fetch-site': 'cross-site', host: 'localhost' };
    for (const [url, status] of [
      ['/v1/sandboxes', 200],
      ['/v1/sandboxes/none', 404],
      ['/nowhere', 404],
    ] as const) {
      const answer = await app.inject({ url, headers });
      assert.equal(answer.statusCode, status);
      assert.equal(answer.headers['access-control-allow-origin'], page);
      assert.equal(answer.headers.vary, 'Origin');
      assert.equal(answer.headers['access-control-allow-credentials'], undefined);
    }
  });

  it('is told what it may send, by its browser’s question, which has no token', async () => {
    const { app } = testServer({}, { allowedOrigins: [page], token });
    for (const url of ['/v1/sandboxes/a/files', '/s/a/p/80/']) {
      const answer = await app.inject({
        method: 'OPTIONS',
        url,
        headers: { origin: page, host: 'localhost', ...asks },
      });
      assert.equal(answer.statusCode, 204);
      assert.equal(answer.headers['access-control-allow-headers'], 'authorization,prefer');
      assert.match(String(answer.headers['access-control-allow-methods']), /\bPUT\b/);
    }
    const unknown = await app.inject({ url: '/v1/sandboxes', headers: { origin: page, host: 'localhost' } });
    assert.equal(unknown.statusCode, 401);
  });

  it('is no other: of the next port, of a file, or by another name', async () => {
    const { app } = testServer({}, { allowedOrigins: [page] });
    for (const origin of [`${page}:444`, 'http://page.example', 'null', `${page}.else`]) {
      const headers = { origin, host: 'localhost' };
      const refused = await app.inject({ url: '/v1/sandboxes', headers });
      assert.equal(refused.statusCode, 403, origin);
      assert.equal(refused.headers['access-control-allow-origin'], undefined, origin);
      const question = await app.inject({
        method: 'OPTIONS',
        url: '/v1/sandboxes',
        headers: { ...headers, ...asks },
      });
      assert.equal(question.statusCode, 403, origin);
    }
  });

  it('sends its token with a WebSocket as a protocol', async (t) => {
    const { app } = testServer({}, { allowedOrigins: [page], token });
    t.after(() => app.close());
    const address = (await app.listen({ host: '127.0.0.1', port: 0 })).replace('http', 'ws');
    const asked = `${address}/v1/sandboxes/none/ports/1`;
    const offer = (given: string): string => `bough.token.${Buffer.from(given).toString('base64url')}`;
    const statusOf = async (protocols: string[]): Promise<string> => {
      const socket = new WebSocket(asked, protocols, { origin: page });
      const [first] = (await Promise.race([
        once(socket, 'unexpected-response').then(([, { statusCode }]) => [`answer ${String(statusCode)}`]),
        once(socket, 'close').then(([, reason]) => [`${socket.protocol} ${String(reason)}`]),
      ])) as [string];
      socket.on('error', () => undefined).terminate();
      return first;
    };
    assert.equal(await statusOf(['bough', offer('wrong')]), 'answer 401');
    assert.equal(await statusOf(['bough', offer(token)]), 'bough sandbox_not_found');
  });
});
