import assert from 'node:assert/strict';
import type { OutgoingHttpHeaders } from 'node:http';
import { Duplex } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { Deferred } from '../../base/index.js';
import { forward } from './forward.js';

/** Forwards a POST over a connection that there is when the test says so. */
function posted(t: TestContext, headers: OutgoingHttpHeaders, pieces: readonly string[]) {
  const connected = new Deferred<void>();
  const asked = { begun: false };
  const heard: string[] = [];
  const wire = new Duplex({
    read: () => undefined,
    write(piece: Buffer, _encoding, done) {
      heard.push(piece.toString('latin1'));
      done();
    },
  });
  t.after(() => wire.destroy());
  const body = (async function* (): AsyncGenerator<Buffer, void, undefined> {
    asked.begun = true;
    for (const piece of pieces) yield Promise.resolve(Buffer.from(piece));
  })();
  const connection = Object.assign(wire, { connected: connected.promise });
  const answer = forward({ method: 'POST', path: '/', headers, body }, connection);
  const text = async (length: number): Promise<string> => {
    for (let turn = 0; turn < 1000 && heard.join('').length < length; turn++) await new Promise(setImmediate);
    return heard.join('');
  };
  return { connected, asked, wire, answer, text };
}

describe('forward()', () => {
  it('sends the head before there is a connection, and reads the body from then on', async (t) => {
    const { connected, asked, wire, answer, text } = posted(t, { 'content-length': 9 }, ['all ', 'of it']);
    const head = await text(1);
    assert.match(head, /^POST \/ HTTP\/1\.1\r\n[^]*\r\n\r\n$/);
    await new Promise(setImmediate);
    assert.equal(asked.begun, false);
    connected.resolve();
    assert.equal(await text(head.length + 9), `${head}all of it`);
    wire.push('HTTP/1.1 204 No Content\r\n\r\n');
    assert.equal((await answer).statusCode, 204);
  });

  it('leaves the body unread when nobody listens', async (t) => {
    const { connected, asked, answer } = posted(t, { 'content-length': 9 }, ['all of it']);
    connected.reject(new Error('nobody listens'));
    await assert.rejects(answer);
    assert.equal(asked.begun, false);
  });

  it('makes no body where there is none', async (t) => {
    const { wire, answer, text } = posted(t, {}, []);
    const head = await text(1);
    assert.doesNotMatch(head, /transfer-encoding/i);
    assert.match(head, /^content-length: 0\r$/im);
    wire.push('HTTP/1.1 204 No Content\r\n\r\n');
    assert.equal((await answer).statusCode, 204);
  });
});
