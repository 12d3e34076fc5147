import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { sleep } from '../../base/index.js';
import { FakeAgent } from '../../../test/support/fake-agent.js';
import { identifyChild } from './identity.js';

const LATE_MS = 300;

/** A guest that takes `delayMs` until it reads its first request; resolves with the requests of `identifyChild`. */
async function requestsOf(t: TestContext, delayMs: number, setClockAnswer: object = {}) {
  const agent = await FakeAgent.listen(({ op, nonce }, connection) => {
    if (op === 'set_clock') connection.end(setClockAnswer);
    else void sleep(delayMs).then(() => connection.end({ nonce, hostname: 'x', restored: true, hook: null }));
  });
  t.after(() => agent.close());
  assert.match(await identifyChild(agent.port, 'old', 'sb1'), /^[0-9a-f]{64}$/);
  return agent.received;
}

const nanoseconds = ({ unix_time_ns }: Record<string, unknown>): bigint => BigInt(unix_time_ns as string);

describe('identifyChild()', () => {
  it('tells a guest that was slow to take its identity the time once more', async (t) => {
    const [identify, setClock, ...rest] = await requestsOf(t, LATE_MS);
    assert(identify && setClock && rest.length === 0);
    assert.equal(setClock['op'], 'set_clock');
    assert(nanoseconds(setClock) - nanoseconds(identify) >= BigInt(LATE_MS - 1) * 1_000_000n);
  });

  it('takes a slow guest whose agent knows no such call', async (t) => {
    const refusal = { error: { code: 'unknown_op', message: 'no' } };
    assert.equal((await requestsOf(t, LATE_MS, refusal)).length, 2);
  });
});
