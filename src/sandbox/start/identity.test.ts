import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { sleep } from '../../base/index.js';
import { limitMs } from '../../../test/support/time-limit.js';
import { FakeAgent } from '../../../test/support/fake-agent.js';
import { claimGuest, identifyChild } from './identity.js';

const LATE_MS = 300;

/** A guest that takes so long until it answers each request, and none from then on; resolves with the requests of `identifyChild`. */
async function requestsOf(t: TestContext, delaysMs: readonly number[], setClockAnswer: object = {}) {
  const delays = [...delaysMs];
  const agent = await FakeAgent.listen(({ op, nonce }, connection) => {
    const answer = op === 'set_clock' ? setClockAnswer : { nonce, hostname: 'x', restored: true, hook: null };
    void sleep(delays.shift() ?? 0).then(() => connection.end(answer));
  });
  t.after(() => agent.close());
  assert.match(
    await identifyChild({ host: '127.0.0.1', port: agent.port }, 'old', {
      id: 'sb1',
      env: { OPENED: 'yes' },
    }),
    /^[0-9a-f]{64}$/,
  );
  return agent.received;
}

const nanoseconds = ({ unix_time_ns }: Record<string, unknown>): bigint => BigInt(unix_time_ns as string);

describe('identifyChild()', () => {
  it('tells a guest that was slow to take its identity the time once more', async (t) => {
    const [identify, setClock] = await requestsOf(t, [LATE_MS]);
    assert(identify && setClock);
    assert.equal(setClock['op'], 'set_clock');
    assert.deepEqual([identify['hostname'], identify['env']], ['bough-sb1', { OPENED: 'yes' }]);
    assert(nanoseconds(setClock) - nanoseconds(identify) >= BigInt(LATE_MS - 1) * 1_000_000n);
  });

  it('tells it again until it takes the time quickly, and not for ever', async (t) => {
    const [, once, again] = await requestsOf(t, [LATE_MS, LATE_MS]);
    assert.deepEqual([once?.['op'], again?.['op']], ['set_clock', 'set_clock']);
    assert.equal(
      (
        await requestsOf(
          t,
          Array.from({ length: 20 }, () => LATE_MS),
        )
      ).length,
      6,
    );
  });

  it('takes a slow guest whose agent knows no such call', async (t) => {
    const refusal = { error: { code: 'unknown_op', message: 'no' } };
    assert.equal((await requestsOf(t, [LATE_MS, LATE_MS], refusal)).length, 2);
  });
});

it('claimGuest() gives a guest its variables, before it waits for its interpreter', async (t) => {
  const agent = await FakeAgent.listen(({ op, nonce }, connection) => {
    if (op === 'identify') connection.end({ nonce, hostname: 'x', restored: false, hook: null });
    else connection.end({ pong: true, interpreter: 'ready', uptime_secs: 1 });
  });
  t.after(() => agent.close());
  await claimGuest(
    { host: '127.0.0.1', port: agent.port },
    { deadlineMs: limitMs(10_000), env: { OPENED: 'yes' } },
  );
  const asked = agent.received.map(({ op }) => op);
  const identify = agent.received[asked.indexOf('identify')];
  assert.deepEqual(identify?.['env'], { OPENED: 'yes' });
  assert.match(String(identify['hostname']), /^bough-[a-z0-9]{16}$/);
  assert(asked.lastIndexOf('ping') > asked.indexOf('identify'));
});
