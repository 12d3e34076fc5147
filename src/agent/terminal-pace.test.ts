/** How fast the guest agent itself reads what a program prints to its terminal. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { claimed, startRealAgent } from '../../test/support/real-agent.js';

/** What a terminal gives at most when it is read. */
const TERMINAL_BYTES = 4095;
const READS = 1000;

describe('a program with a terminal', { timeout: 60_000 }, () => {
  it('is not made to wait each time that it has filled it', async (t) => {
    const agent = await startRealAgent(null);
    t.after(() => agent.close());
    const client = await claimed(agent);
    const args = ['sh', '-c', `stty raw; head -c ${READS * TERMINAL_BYTES} /dev/zero`];
    const stream = client.startAttached({ args, pty: { cols: 80, rows: 24 } }, { kill: true });
    const stopped = new AbortController();
    let waits = 0;
    const waiting = (async () => {
      for (; !stopped.signal.aborted; waits++) await delay(2);
    })();
    let bytes = 0;
    for await (const event of stream) if (event.type === 'pty') bytes += event.bytes.length;
    stopped.abort();
    await waiting;
    assert.equal(bytes, READS * TERMINAL_BYTES);
    assert(waits < READS / 2, `${waits} times 2 ms for ${READS} reads`);
  });
});
