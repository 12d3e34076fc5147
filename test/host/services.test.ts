/** A snapshot with a service in it: made once the service is ready, and never listed where it is not. */
import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { BoughError } from '../../src/contract/index.js';
import { createSnapshot, type BootSteps } from '../../src/sandbox/start/create-snapshot.js';
import { bootSteps, contextOver } from '../faults/host-parts.js';
import { openIn, type StoreDirs } from '../faults/store-world.js';
import { WorldCopies } from '../faults/world-copies.js';

describe('a snapshot with a service', () => {
  let copies: WorldCopies;
  before(async () => {
    copies = await WorldCopies.open();
  });
  afterEach(() => copies.clean());
  after(() => copies.close());

  /** Makes one, with that instead of a start; the tags there are in the end. */
  async function tagsAfter(dirs: StoreDirs, startService: BootSteps['startService']): Promise<string[]> {
    const store = await openIn(dirs);
    try {
      const [kernel, rootfs] = [join(dirs.stateDir, 'kernel'), join(dirs.stateDir, 'rootfs')];
      for (const path of [kernel, rootfs]) await writeFile(path, 'x');
      const service = { start: ['serve'], ready: { kind: 'tcp', port: 80 } } as const;
      const request = { tag: 'service', image: { kernel, rootfs }, memoryMiB: 1, service };
      await createSnapshot(contextOver(dirs, store), request, {}, { ...bootSteps(), startService });
      await store.durable('service');
    } finally {
      await store.close();
    }
    return readdir(join(dirs.stateDir, 'snapshots'));
  }

  it('is captured after the service was started', async () => {
    const dirs = await copies.make();
    let asked: unknown;
    const tags = await tagsAfter(dirs, (_agent, service) => {
      asked = service;
      return Promise.resolve();
    });
    assert.deepEqual(asked, { args: ['serve'], ready: { kind: 'tcp', port: 80 }, timeoutMs: 120_000 });
    assert(tags.includes('service'));
  });

  it('is not there where the service ended, and says so in its own words', async () => {
    const dirs = await copies.make();
    const before = await readdir(join(dirs.stateDir, 'snapshots'));
    const ended = new BoughError('service_ended', { problem: 'exit code 1', log: 'no room' });
    await assert.rejects(
      tagsAfter(dirs, () => Promise.reject(ended)),
      ended,
    );
    assert.deepEqual(await readdir(join(dirs.stateDir, 'snapshots')), before);
    assert.deepEqual(await readdir(join(dirs.stateDir, 'sandboxes')).catch(() => []), []);
  });
});
