import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  branchRequestSchema,
  createSnapshotRequestSchema,
  forkRequestSchema,
  spawnRequestSchema,
  timeoutRequestSchema,
} from '../../src/contract/index.js';

const fieldOf = (schema: typeof spawnRequestSchema | typeof timeoutRequestSchema, request: object): unknown =>
  schema.safeParse(request).error?.issues[0]?.path.join('.');

describe('the end of a sandbox on the wire', () => {
  it('is given once', () => {
    const both = { snapshot_tag: 'a', timeout_secs: 1, end_at_unix: 1 };
    assert.equal(fieldOf(spawnRequestSchema, both), 'end_at_unix');
    assert.equal(fieldOf(timeoutRequestSchema, both), 'end_at_unix');
    assert.equal(fieldOf(timeoutRequestSchema, { never: true, timeout_secs: 1 }), 'never');
  });

  it('names a last snapshot only for one sandbox', () => {
    const request = { snapshot_tag: 'a', on_end: 'snapshot', on_end_tag: 'last' };
    assert.equal(fieldOf(spawnRequestSchema, request), undefined);
    assert.equal(fieldOf(spawnRequestSchema, { ...request, n: 2 }), 'on_end_tag');
    assert.ok(!forkRequestSchema.safeParse({ count: 2, on_end_tag: 'last' }).success);
  });

  it('is bounded', () => {
    for (const timeout_secs of [0, -1, 1e12, Infinity]) {
      assert.equal(fieldOf(spawnRequestSchema, { snapshot_tag: 'a', timeout_secs }), 'timeout_secs');
    }
  });

  it('is changed by saying something', () => {
    assert.equal(fieldOf(timeoutRequestSchema, {}), 'timeout_secs');
    assert.equal(fieldOf(timeoutRequestSchema, { extend_only: true }), 'timeout_secs');
    assert.equal(fieldOf(timeoutRequestSchema, { idle_timeout_secs: 0 }), undefined);
  });
});

describe('the retention of a snapshot on the wire', () => {
  it('passes through branch and fork', () => {
    const retention = { expires_in_secs: 60, keep_last: 5 };
    assert.deepEqual(branchRequestSchema.parse(retention), { ...retention, mode: 'live', wait: true });
    assert.deepEqual(forkRequestSchema.parse({ ...retention, timeout_secs: 9 }), {
      ...{ ...retention, timeout_secs: 9 },
      ...{ mode: 'live', count: 1 },
    });
  });

  it('has one expiry', () => {
    const both = { expires_in_secs: 60, expires_at_unix: 60 };
    for (const schema of [branchRequestSchema, forkRequestSchema]) assert.ok(!schema.safeParse(both).success);
    assert.ok(!createSnapshotRequestSchema.safeParse({ tag: 'a', image: 'i', ...both }).success);
  });
});
