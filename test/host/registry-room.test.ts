/** Snapshots that do not fit: on the disk of who pushes or pulls, or into what clients of registries take. No VM. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pullSnapshot, pushSnapshot, RegistryFailed, remoteOf } from '../../src/hub/index.js';
import { forged } from '../support/archive-forge.js';
import { madeArchive } from '../support/made-snapshot.js';
import { scriptedRegistry, type ScriptedRegistry } from '../support/scripted-registry.js';
import { mountTmpfs, noTmpfs } from '../support/tmpfs.js';

describe('a snapshot that does not fit', () => {
  let dir: string;
  let registry: ScriptedRegistry;
  let archive: Buffer;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-room-'));
    registry = await scriptedRegistry();
    const disks = [{ bytes: randomBytes(4 << 20), format: 'raw' as const }];
    archive = await madeArchive(dir, { disks });
  });
  after(async () => {
    await registry[Symbol.asyncDispose]();
    await rm(dir, { recursive: true });
  });

  const push = (workDir: string, bytes = archive): Promise<unknown> =>
    pushSnapshot(inOne(bytes), remoteOf(`${registry.address}/team/base:v1`), { workDir });
  const failsWith = async (kind: string, work: Promise<unknown>, words: RegExp): Promise<void> =>
    assert.rejects(work, (error: unknown) => {
      assert(error instanceof RegistryFailed, String(error));
      assert.deepEqual([error.kind, words.test(error.message)], [kind, true], error.message);
      return true;
    });

  it('is told to be too large for the disk, on its way out and in', { skip: noTmpfs }, async () => {
    const small = join(dir, 'small');
    const unmount = await mountTmpfs(small, 2);
    try {
      await failsWith('no_space', push(small), /no room for the snapshot in .*small/);
      assert.deepEqual(await readdir(small), ['lock']);
      await push(await mkdtemp(join(dir, 'work-')));
      const pulling = pullSnapshot(remoteOf(`${registry.address}/team/base:v1`), { workDir: small });
      await failsWith('no_space', pulling, /no room here/);
    } finally {
      await unmount();
    }
  });

  it('is not sent where nobody could fetch it: what describes it is more than clients take', async () => {
    const runs = Array.from({ length: 500_000 }, (_, index) => [10 * index, 9]);
    const scattered = forged(archive, { config: { 'disks.0.bytes': 8 << 20, 'disks.0.runs': runs } });
    const workDir = await mkdtemp(join(dir, 'work-'));
    await failsWith(
      'failed',
      push(workDir, scattered),
      /describe it, and clients of registries take 4194304/,
    );
    assert.deepEqual(await readdir(workDir), ['lock']);
  });
});

async function* inOne(bytes: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(bytes);
}
