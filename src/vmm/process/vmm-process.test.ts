import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { it } from 'node:test';
import { processStartTicks } from './process-identity.js';
import { watchVmmProcess } from './vmm-process.js';

it('a watcher that was released looks no more, so that a daemon which stops has nothing to wait for', async (t) => {
  const child = spawn('sleep', ['600']);
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  const watched = watchVmmProcess(pid, (await processStartTicks(pid)) ?? 0);
  watched.release();
  const before = process.getActiveResourcesInfo();
  watched.expectExit();
  assert.deepEqual(process.getActiveResourcesInfo(), before);
});
