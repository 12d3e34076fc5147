import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aSandbox, aSnapshot } from '../../../test/support/fake-host.js';
import {
  BoughError,
  branchRequestSchema,
  createSnapshotRequestSchema,
  forkRequestSchema,
  sandboxSchema,
  snapshotSchema,
  timeoutRequestSchema,
} from '../../contract/index.js';
import { wireSandbox, wireSnapshot } from './answers.js';
import { inWireNames } from './names.js';
import { bootSpec, branchSpec, forkSpec, lifetimeChange } from './requests.js';

describe('the first API', () => {
  it('shows a sandbox with every field that is always there, null where nothing is known', () => {
    const { pid: running, ...failed } = aSandbox('sb1', 'base');
    assert.notEqual(running, undefined);
    const shown = wireSandbox(failed);
    assert.deepEqual(sandboxSchema.parse(shown), shown);
    const { pid, netns, memory_limit_mib, last_branch_memory_path, has_branched } = shown;
    assert.deepEqual([pid, netns, memory_limit_mib, last_branch_memory_path], [null, null, null, null]);
    assert.equal(has_branched, false);
    assert.equal(wireSandbox({ ...failed, branchCount: 1 }).has_branched, true);
  });

  it('shows of a snapshot what is known of it, and nothing else', () => {
    const shown = wireSnapshot({ ...aSnapshot('s'), retention: { keepLast: 2 } });
    assert.deepEqual(snapshotSchema.parse(shown), shown);
    assert.deepEqual(Object.keys(shown).sort(), [
      ...['bootable', 'created_at_unix', 'dir', 'durable', 'keep_last', 'status', 'tag'],
    ]);
  });

  it('takes seconds as whole milliseconds that come back as the same seconds', () => {
    for (const secs of [0.001, 0.3, 1.001, 4.35, 86_400]) {
      const { idleTimeoutMs = 0 } = lifetimeChange(timeoutRequestSchema.parse({ idle_timeout_secs: secs }));
      assert.equal(wireSandbox({ ...aSandbox('a', 'b'), idleTimeoutMs }).idle_timeout_secs, secs);
    }
    const idle = (secs: number) =>
      lifetimeChange(timeoutRequestSchema.parse({ idle_timeout_secs: secs })).idleTimeoutMs;
    assert.deepEqual([idle(0), idle(0.000_1)], [0, 1]);
  });

  it('knows three waits', () => {
    const waits = [false, true, 'durable'].map(
      (wait) => branchSpec(branchRequestSchema.parse({ wait })).wait,
    );
    assert.deepEqual(waits, ['running', 'ready', 'durable']);
    assert.equal(branchSpec(branchRequestSchema.parse({})).wait, 'ready');
  });

  it('takes what a snapshot serves, with its check read', () => {
    const service = (rest: object) =>
      bootSpec(createSnapshotRequestSchema.parse({ tag: 't', image: 'i', ...rest })).service;
    assert.equal(service({}), undefined);
    assert.deepEqual(service({ start: true }), { start: true });
    assert.deepEqual(service({ start: ['a'], ready: 'tcp:80', ready_timeout_secs: 1.5 }), {
      start: ['a'],
      ready: { kind: 'tcp', port: 80 },
      readyTimeoutMs: 1500,
    });
  });

  it('holds programs where that is asked for', () => {
    const asked = [{}, { freeze: false }, { freeze: true }];
    const expected = [undefined, false, true];
    assert.deepEqual(
      asked.map((fields) => branchSpec(branchRequestSchema.parse(fields)).freeze),
      expected,
    );
    assert.deepEqual(
      asked.map((fields) => forkSpec(forkRequestSchema.parse(fields)).branch.freeze),
      expected,
    );
  });

  it('names a field that the host refuses as the client does', () => {
    const refused = new BoughError('invalid_request', { field: 'expiresAtUnix', problem: 'has passed' });
    const { message, details } = inWireNames(refused) as BoughError;
    assert.equal(message, 'Invalid request: "expires_at_unix" has passed');
    assert.deepEqual(details, { field: 'expires_at_unix', problem: 'has passed' });
    const other = new Error('any other');
    assert.equal(inWireNames(other), other);
  });
});
