/** What the agent itself, run as a process of this host, says that its machine uses. */
import assert from 'node:assert/strict';
import { readFile, statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { describe, it } from 'node:test';
import { MiB } from '../base/index.js';
import { claimed, startRealAgent } from '../../test/support/real-agent.js';

describe('the stats of a guest', { timeout: 60_000 }, () => {
  it('are what its kernel says', async () => {
    const agent = await startRealAgent();
    const client = await claimed(agent);
    const stats = await client.stats();
    const disk = await statfs('/');
    assert.equal(stats.memoryTotalBytes, totalmem());
    assert.equal(stats.diskTotalBytes, disk.blocks * disk.bsize);
    assert.ok((stats.memoryAvailableBytes ?? 0) > 0 && (stats.diskFreeBytes ?? -1) >= 0);
    assert.ok((stats.cpuTimeMs ?? 0) > 0);
    const interfaces = (await readFile('/proc/net/dev', 'utf8'))
      .split('\n')
      .slice(2, -1)
      .map((line) => line.trim().split(/[:\s]+/));
    const received = interfaces
      .filter(([name]) => name !== 'lo')
      .reduce((sum, [, bytes]) => sum + Number(bytes), 0);
    assert.ok(
      received - (stats.networkReceivedBytes ?? NaN) < 100 * MiB &&
        received >= (stats.networkReceivedBytes ?? NaN),
    );
    await agent.close();
  });
});
