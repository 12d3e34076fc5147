import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { sandboxPaths } from '../../src/sandbox/entity/paths.js';
import { Lab } from '../support/lab.js';

const CLIENTS = 64;
/** As many as the daemon ever has to one guest, and more. */
const QUEUED = 1_200;
const DEADLINE_MS = 20_000;

describe('the forwarded port of a real guest', { timeout: 120_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('forwarded-port');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('takes many clients at once, although QEMU has not come to accept one of them', async () => {
    const { id } = await lab.spawn();
    const { pid, agentAddr } = await lab.host.getSandbox(id);
    assert(pid !== undefined);
    assert.equal(agentAddr, '10.0.2.15:10000');
    const { agentSocket } = sandboxPaths(lab.folders, id);
    process.kill(pid, 'SIGSTOP');
    const sockets = Array.from({ length: QUEUED }, () => connect(agentSocket));
    try {
      // Who does not get in at once is not let in at a later try either: nobody accepts.
      const signal = AbortSignal.timeout(DEADLINE_MS);
      await Promise.all(sockets.map((socket) => once(socket, 'connect', { signal })));
    } finally {
      process.kill(pid, 'SIGCONT');
      for (const socket of sockets) socket.destroy();
    }
  });

  it('answers as many calls as are made at once', async () => {
    const guest = await lab.spawn();
    const answers = await Promise.all(Array.from({ length: CLIENTS }, () => guest.python('6 * 7')));
    assert.deepEqual(new Set(answers), new Set(['42']));
  });
});
