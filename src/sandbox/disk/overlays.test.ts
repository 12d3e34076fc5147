import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { guestDiskBytes, OverlayTemplates } from './overlays.js';

const DISK_BYTES = 3 * 1024 ** 3;

describe('guestDiskBytes()', () => {
  it('is what the guest sees, whatever the file at the bottom of the chain takes', async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'bough-overlays-'));
    t.after(() => rm(dir, { recursive: true }));
    const [folded, raw] = [join(dir, 'folded.qcow2'), join(dir, 'base.raw')];
    await new OverlayTemplates(join(dir, 'templates')).create(folded, DISK_BYTES);
    await writeFile(raw, '');
    await truncate(raw, DISK_BYTES);
    assert.equal(await guestDiskBytes([{ id: 'a', path: folded, format: 'qcow2' }]), DISK_BYTES);
    assert.equal(await guestDiskBytes([{ id: 'b', path: raw, format: 'raw' }]), DISK_BYTES);
    await assert.rejects(guestDiskBytes([]), TypeError);
  });
});
