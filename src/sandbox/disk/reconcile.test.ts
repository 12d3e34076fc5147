import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sandboxPaths } from '../entity/paths.js';
import { fieldsOf } from './reconcile.js';
import type { SandboxRecord } from '../entity/record.js';

const paths = sandboxPaths({ stateDir: '/s', hotDir: '/h' }, 'sb');
const inDisk = (name: string): string => `/s/sandboxes/sb/disk/${name}`;
const record = {
  disks: [{ id: 'base', format: 'raw', path: inDisk('base.raw') }],
  overlay: { id: 'top', format: 'qcow2', path: inDisk('overlay-0.qcow2') },
  overlayNode: 'disk1',
  switchCount: 0,
} as unknown as SandboxRecord;

const base = { node: 'disk0', path: inDisk('base.raw') };
const top = { node: 'disk1', path: inDisk('overlay-0.qcow2') };

describe('fieldsOf()', () => {
  it('changes nothing in a record that is right', () => {
    const { disks, overlay, overlayNode, switchCount } = record;
    const fields = fieldsOf({ chain: [base, top], unused: [] }, paths, record);
    assert.deepEqual(fields, { disks, overlay, overlayNode, switchCount });
  });

  it('notes a switch, so that the next overlay gets another name', () => {
    const next = { node: 'overlay3', path: inDisk('overlay3.qcow2') };
    const fields = fieldsOf({ chain: [base, top, next], unused: [] }, paths, record);
    assert.deepEqual(fields.disks, [...record.disks, record.overlay]);
    assert.deepEqual(
      [fields.overlay.path, fields.overlayNode, fields.switchCount],
      [next.path, 'overlay3', 3],
    );
  });

  it('notes a fold', () => {
    const long = { ...record, disks: [...record.disks, { ...record.overlay, path: inDisk('frozen.qcow2') }] };
    assert.deepEqual(fieldsOf({ chain: [base, top], unused: [] }, paths, long).disks, record.disks);
  });

  it('refuses a disk that is not the sandbox’s', () => {
    const foreign = { node: 'overlay1', path: '/s/sandboxes/other/disk/overlay1.qcow2' };
    assert.throws(() => fieldsOf({ chain: [base, foreign], unused: [] }, paths, record), /not the sandbox's/);
  });
});
