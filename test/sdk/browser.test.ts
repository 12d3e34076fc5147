/** What the SDK does otherwise where it runs in a browser. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Bough, type WebSocketLike } from '../../src/sdk/index.js';

/** Until the test has ended, a global is `value`. */
function standIn(t: TestContext, name: string, value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  t.after(() => {
    if (before === undefined) Reflect.deleteProperty(globalThis, name);
    else Object.defineProperty(globalThis, name, before);
  });
}

async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
  yield await Promise.resolve(new TextEncoder().encode('in '));
  yield await Promise.resolve(new TextEncoder().encode('pieces'));
}

describe('in a browser', () => {
  it('what is written as it comes is gathered, since a browser does not send it', async (t) => {
    standIn(t, 'navigator', { userAgent: 'Mozilla/5.0' });
    const sent: (RequestInit & { duplex?: string })[] = [];
    const fetch = (_url: unknown, init: RequestInit): Promise<Response> => {
      sent.push(init);
      return Promise.resolve(new Response(null, { status: 204 }));
    };
    await new Bough({ fetch: fetch as typeof globalThis.fetch }).sandbox('s').files.write('/f', pieces());
    const [{ body, duplex } = {}] = sent;
    assert(body instanceof Blob);
    assert.deepEqual([await body.text(), duplex], ['in pieces', undefined]);
  });

  it('a token goes with a WebSocket as a protocol, since no header can', async (t) => {
    standIn(t, 'navigator', { userAgent: 'Mozilla/5.0' });
    const opened: unknown[] = [];
    class Refused implements Pick<WebSocketLike, 'binaryType'> {
      binaryType = '';
      constructor(url: string, protocols?: unknown) {
        opened.push([url, protocols]);
      }
      addEventListener(type: string, listener: () => void): void {
        if (type === 'error') setImmediate(listener);
      }
      close(): void {
        return;
      }
    }
    standIn(t, 'WebSocket', Refused);
    const token = 'a+token/of ~ all\x7fletters'.replace(/[^\x21-\x7e]/g, '?');
    const bough = new Bough({ url: 'http://h', token });
    await assert.rejects(bough.sandbox('s').ports.connect(80), { name: 'BoughUnreachable' });
    const encoded = Buffer.from(token).toString('base64url');
    assert.deepEqual(opened, [['ws://h/v1/sandboxes/s/ports/80', ['bough', `bough.token.${encoded}`]]]);
  });
});
