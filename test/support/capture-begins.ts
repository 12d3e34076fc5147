import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../src/base/index.js';

const GIVE_UP_MS = 10_000;

/** Waits until a pager has begun to write a layer below `hotDir`: the request for it has left the daemon. */
export async function captureBegins(hotDir: string): Promise<void> {
  const giveUpMs = performance.now() + GIVE_UP_MS;
  while (performance.now() < giveUpMs) {
    const files = await readdir(join(hotDir, 'snapshots'), { recursive: true }).catch(() => []);
    if (files.some((file) => /^\.writing-.*\/memory\.bin$/.test(file))) return;
    await sleep(1);
  }
  assert.fail('no capture began');
}
