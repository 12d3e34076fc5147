import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { z } from 'zod';
import {
  branchRequestSchema,
  createSnapshotRequestSchema,
  deleteSnapshotQuerySchema,
  execRequestSchema,
  forkRequestSchema,
  spawnRequestSchema,
  tagSchema,
} from '../../src/contract/index.js';

/** The path of the first field a schema refuses, or undefined when it accepts. */
function refusedField(schema: z.ZodType, value: unknown): string | undefined {
  return schema.safeParse(value).error?.issues[0]?.path.join('.');
}

describe('tags', () => {
  it('are 1 to 64 letters, digits, "_" and "-"', () => {
    for (const tag of ['a', 'A_b-9', '-', 'x'.repeat(64)]) assert.ok(tagSchema.safeParse(tag).success, tag);
    for (const tag of ['', '.', '..', 'a/b', 'a b', 'a\0', 'a\n', 'é', 'x'.repeat(65)]) {
      assert.ok(!tagSchema.safeParse(tag).success, JSON.stringify(tag));
    }
  });
});

describe('branch requests', () => {
  it('default to live and to waiting until ready', () => {
    assert.deepEqual(branchRequestSchema.parse({}), { mode: 'live', wait: true });
  });

  it('translate the older boolean forms', () => {
    assert.equal(branchRequestSchema.parse({ diff: true }).mode, 'diff');
    assert.equal(branchRequestSchema.parse({ live: true, diff: false }).mode, 'live');
    assert.equal(branchRequestSchema.parse({ mode: 'full', diff: false, live: false }).mode, 'full');
  });

  it('refuse a boolean form together with mode, or both', () => {
    assert.equal(refusedField(branchRequestSchema, { mode: 'live', live: true }), 'mode');
    assert.equal(refusedField(branchRequestSchema, { mode: 'live', diff: true }), 'mode');
    assert.equal(refusedField(branchRequestSchema, { live: true, diff: true }), 'mode');
  });

  it('allow wait:false only with live', () => {
    assert.equal(branchRequestSchema.parse({ wait: false }).wait, false);
    assert.equal(refusedField(branchRequestSchema, { wait: false, mode: 'full' }), 'wait');
    assert.equal(refusedField(branchRequestSchema, { wait: false, diff: true }), 'wait');
    assert.equal(refusedField(branchRequestSchema, { wait: 'soon' }), 'wait');
    assert.equal(branchRequestSchema.parse({ wait: 'durable', mode: 'full' }).wait, 'durable');
  });

  it('allow parent_tag only with diff', () => {
    assert.equal(branchRequestSchema.parse({ diff: true, parent_tag: 'base' }).parent_tag, 'base');
    assert.equal(refusedField(branchRequestSchema, { parent_tag: 'base' }), 'parent_tag');
  });

  it('accept and ignore what they do not know', () => {
    assert.deepEqual(branchRequestSchema.parse({ measure_diff: true, new_field: 1 }), {
      mode: 'live',
      wait: true,
    });
  });
});

describe('fork requests', () => {
  it('ask for 1 to 100 children', () => {
    assert.equal(refusedField(forkRequestSchema, { count: 0 }), 'count');
    assert.equal(refusedField(forkRequestSchema, { count: 101 }), 'count');
    assert.deepEqual(forkRequestSchema.parse({ count: 100 }), { count: 100, mode: 'live' });
  });
});

describe('create requests', () => {
  it('need an image, or a kernel and a root filesystem', () => {
    const accepts = (rest: object) => refusedField(createSnapshotRequestSchema, { tag: 't', ...rest });
    assert.equal(accepts({ image: 'python' }), undefined);
    assert.equal(accepts({ kernel: '/k', rootfs: '/r' }), undefined);
    assert.equal(accepts({}), 'image');
    assert.equal(accepts({ kernel: '/k' }), 'rootfs');
    assert.equal(accepts({ rootfs: '/r' }), 'kernel');
    assert.equal(accepts({ image: 'python', rootfs: '/r' }), 'rootfs');
    assert.equal(accepts({ kernel: 'k', rootfs: '/r' }), 'kernel');
    assert.equal(accepts({ image: '../x' }), 'image');
    assert.equal(accepts({ image: 'python', boot_wait_secs: 61 }), 'boot_wait_secs');
  });

  it('say what runs in the snapshot, and when that is ready', () => {
    const accepts = (rest: object) =>
      refusedField(createSnapshotRequestSchema, { tag: 't', image: 'i', ...rest });
    assert.equal(accepts({ start: true }), undefined);
    assert.equal(accepts({ start: ['a', ''], ready: 'tcp:5432', ready_timeout_secs: 0.5 }), undefined);
    for (const start of [false, [], 'a']) assert.equal(accepts({ start }), 'start');
    for (const start of [['a\0'], [1]]) assert.match(accepts({ start }) ?? '', /^start/);
    assert.equal(accepts({ start: true, ready: 'tcp:0' }), 'ready');
    assert.equal(accepts({ start: true, ready_timeout_secs: 0 }), 'ready_timeout_secs');
    assert.equal(accepts({ ready: 'tcp:5432' }), 'ready');
    assert.equal(accepts({ ready_timeout_secs: 1 }), 'ready_timeout_secs');
  });
});

describe('spawn requests', () => {
  it('start 1 to 1000 sandboxes, one by default', () => {
    assert.equal(spawnRequestSchema.parse({ snapshot_tag: 't' }).n, 1);
    for (const n of [0, 1001, 1.5, '2', Infinity, -1]) {
      assert.equal(refusedField(spawnRequestSchema, { snapshot_tag: 't', n }), 'n', String(n));
    }
  });

  it('accept the options of older clients, whatever their type', () => {
    const request = {
      snapshot_tag: 't',
      per_child_netns: true,
      live_fork: 1,
      prewarm: 'x',
      hugepages: false,
    };
    assert.equal(refusedField(spawnRequestSchema, request), undefined);
  });
});

describe('exec requests', () => {
  it('need a program, and text without NUL', () => {
    assert.equal(execRequestSchema.parse({ args: ['true'] }).timeout_secs, 30);
    assert.equal(refusedField(execRequestSchema, { args: [] }), 'args');
    assert.equal(refusedField(execRequestSchema, { args: ['a\0b'] }), 'args.0');
    assert.equal(refusedField(execRequestSchema, { args: [1] }), 'args.0');
    assert.equal(refusedField(execRequestSchema, { args: ['a'], env: { 'A=B': 'x' } }), 'env.A=B');
  });
});

describe('delete queries', () => {
  it('read a bare flag as true', () => {
    assert.deepEqual(deleteSnapshotQuerySchema.parse({ cascade: '' }), { cascade: true, force: false });
    assert.deepEqual(deleteSnapshotQuerySchema.parse({ force: 'true' }), { cascade: false, force: true });
    assert.equal(refusedField(deleteSnapshotQuerySchema, { cascade: '', force: '1' }), 'force');
    assert.equal(refusedField(deleteSnapshotQuerySchema, { cascade: 'maybe' }), 'cascade');
  });
});
