import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  BoughError,
  commonErrors,
  errorCatalogue,
  isBoughError,
  keyedErrors,
  routes,
  type ErrorCode,
  type RouteDefinition,
} from '../../src/contract/index.js';

describe('the error catalogue', () => {
  it('has snake_case codes and error statuses', () => {
    for (const [code, row] of Object.entries(errorCatalogue)) {
      assert.match(code, /^[a-z]+(_[a-z]+)*$/);
      assert.ok(row.status >= 400 && row.status < 600, code);
    }
  });

  it('has every code named by a route or common to all', () => {
    const named = new Set<ErrorCode>([...commonErrors, ...keyedErrors]);
    for (const route of Object.values<RouteDefinition>(routes))
      route.errors.forEach((code) => named.add(code));
    const orphans = Object.keys(errorCatalogue).filter((code) => !named.has(code as ErrorCode));
    assert.deepEqual(orphans, []);
  });
});

describe('BoughError', () => {
  it('puts its arguments on the wire under snake_case names', () => {
    const error = new BoughError('no_space', { store: 'hot', neededBytes: 2, availableBytes: 1 });
    assert.deepEqual(error.toWire(), {
      error: 'The hot store cannot hold it: 2 bytes needed, 1 available',
      code: 'no_space',
      details: { store: 'hot', needed_bytes: 2, available_bytes: 1 },
    });
    assert.equal(error.status, 507);
  });

  it('leaves details out when there are no arguments', () => {
    assert.deepEqual(Object.keys(new BoughError('unauthorized').toWire()), ['error', 'code']);
  });

  it('keeps its cause off the wire', () => {
    const cause = new Error('secret path');
    const error = new BoughError('internal', { requestId: 'r1' }, { cause });
    assert.equal(error.cause, cause);
    assert.doesNotMatch(JSON.stringify(error.toWire()), /secret/);
  });

  it('names at most five holders of a snapshot', () => {
    const snapshots = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const { message } = new BoughError('snapshot_in_use', { tag: 't', snapshots, sandboxes: [] });
    assert.match(message, /snapshot "e" and 2 more$/);
  });

  it('is told apart by code', () => {
    const error: unknown = new BoughError('tag_exists', { tag: 't' });
    assert.ok(isBoughError(error, 'tag_exists'));
    assert.ok(!isBoughError(error, 'internal'));
    assert.ok(!isBoughError(new Error('x')));
  });
});
