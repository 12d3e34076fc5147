import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { sandboxPaths } from '../entity/paths.js';
import type { Sandbox } from '../entity/sandbox.js';
import type { HostContext } from '../host/context.js';
import { guestDiskBytes, OverlayTemplates } from './overlays.js';
import { prepareSpares } from './spares.js';

const DISK_BYTES = 3 * 1024 ** 3;

describe('prepareSpares()', () => {
  it('makes overlays of the size that the guest sees, though the bottom of its chain is a smaller file', async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'bough-spares-'));
    t.after(() => rm(dir, { recursive: true }));
    const paths = sandboxPaths({ hotDir: dir, stateDir: dir }, 'sb');
    await mkdir(join(paths.stateDir, 'disk'), { recursive: true });
    const overlays = new OverlayTemplates(join(dir, 'templates'));
    const folded = { id: 'a', path: join(dir, 'folded.qcow2'), format: 'qcow2' };
    await overlays.create(folded.path, DISK_BYTES);
    const added: unknown[] = [];
    const qmp = { execute: (...command: unknown[]) => Promise.resolve(void added.push(command)) };
    const sandbox = {
      ...{ paths, spareOverlays: [], vm: { vmm: { qmp } } },
      record: { disks: [folded], overlay: { ...folded, id: 'b' }, switchCount: 2 },
    } as unknown as Sandbox;
    await prepareSpares({ overlays } as unknown as HostContext, sandbox);
    assert.equal(added.length, 2);
    assert.deepEqual(
      sandbox.spareOverlays.map(({ node }) => node),
      ['overlay3', 'overlay4'],
    );
    for (const { disk } of sandbox.spareOverlays) assert.equal(await guestDiskBytes([disk]), DISK_BYTES);
  });
});
