import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Bough } from '../sdk/index.js';
import { withSandbox, type BenchContext } from './context.js';

describe('withSandbox()', () => {
  it('removes the sandbox that was being started when it was interrupted', async () => {
    const [asked, interrupt] = [[] as string[], new AbortController()];
    const client = new Bough({
      url: 'http://localhost',
      fetch: (_url, { method = 'GET', signal } = {}) => {
        asked.push(method);
        if (method === 'POST') interrupt.abort(new Error('interrupted'));
        signal?.throwIfAborted();
        return Promise.resolve(Response.json([{ id: 's1' }]));
      },
    });
    const context = { client, signal: interrupt.signal } as Partial<BenchContext> as BenchContext;
    await assert.rejects(
      withSandbox(context, 'base', () => assert.fail('it is interrupted')),
      /interrupted/,
    );
    assert.deepEqual(asked, ['POST', 'DELETE']);
  });
});
