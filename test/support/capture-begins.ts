import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../src/base/index.js';
import { limitMs } from './time-limit.js';

const GIVE_UP_MS = limitMs(10_000);

/**
 * Waits until a pager has begun to write a layer below `hotDir`: the request for it has left the daemon. A
 * capture that is over before anybody looked is seen by the end of its `branch`, whose failure is thrown.
 */
export async function captureBegins(hotDir: string, branch: Promise<unknown>): Promise<void> {
  const over = branch.then(() => 'over');
  over.catch(() => undefined);
  const giveUpMs = performance.now() + GIVE_UP_MS;
  while (performance.now() < giveUpMs) {
    const files = await readdir(join(hotDir, 'snapshots'), { recursive: true }).catch(() => []);
    if (files.some((file) => /^\.writing-.*\/memory\.bin$/.test(file))) break;
    if ((await Promise.race([over, sleep(1)])) === 'over') return;
  }
  assert(performance.now() < giveUpMs, 'no capture began');
}
