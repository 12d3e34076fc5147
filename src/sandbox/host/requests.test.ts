import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compact, Deferred } from '../../base/index.js';
import type { RequestKey, SnapshotView } from '../../store/index.js';
import { Requests } from './requests.js';
import type { Sandbox } from '../entity/sandbox.js';

const key: RequestKey = { keySha256: 'a'.repeat(64), requestSha256: '1'.repeat(64) };
const otherRequest: RequestKey = { ...key, requestSha256: '2'.repeat(64) };
const otherKey: RequestKey = { ...key, keySha256: 'b'.repeat(64) };
const REUSED = { code: 'idempotency_key_reused', status: 422 };

function fixture() {
  const snapshots: SnapshotView[] = [];
  const sandboxes: Sandbox[] = [];
  const requests = new Requests({ store: { list: () => snapshots }, sandboxes: { list: () => sandboxes } });
  const addSnapshot = (tag: string, requestKey?: RequestKey): void =>
    void snapshots.push({ tag, ...compact({ requestKey }) } as SnapshotView);
  const addSandbox = (id: string, requestKey?: RequestKey, isBeingRemoved = false): void =>
    void sandboxes.push({ id, record: { requestKey }, isBeingRemoved } as unknown as Sandbox);
  const addRolledBack = (...rollbacks: (RequestKey & { readonly kept?: string })[]): void =>
    void sandboxes.push({ id: 'back', record: { rollbacks } } as unknown as Sandbox);
  return { requests, addSnapshot, addSandbox, addRolledBack };
}

describe('Requests', () => {
  it('runs work without a key each time', async () => {
    const { requests } = fixture();
    let runs = 0;
    const work = (): Promise<number> => Promise.resolve(++runs);
    assert.deepEqual(
      await Promise.all([requests.once(undefined, work), requests.once(undefined, work)]),
      [1, 2],
    );
  });

  it('joins the same request under way, failures included, and another key is another request', async () => {
    const { requests } = fixture();
    const answer = new Deferred<string>();
    let runs = 0;
    const work = (): Promise<string> => {
      runs += 1;
      return answer.promise;
    };
    const asked = [requests.once(key, work), requests.once(key, work)];
    const other = requests.once(otherKey, () => Promise.resolve('other'));
    assert.equal(await other, 'other');
    answer.reject(new Error('no luck'));
    for (const each of asked) await assert.rejects(each, /no luck/);
    assert.equal(runs, 1);
    assert.equal(await requests.once(key, () => Promise.resolve('again')), 'again');
  });

  it('refuses another request with the key of one under way, which goes on', async () => {
    const { requests } = fixture();
    const answer = new Deferred<string>();
    const asked = requests.once(key, () => answer.promise);
    await assert.rejects(
      requests.once(otherRequest, () => assert.fail('it ran')),
      REUSED,
    );
    answer.resolve('done');
    assert.equal(await asked, 'done');
  });

  it('finds what a key made, and refuses another request with it as long as that is there', async () => {
    const { requests, addSnapshot, addSandbox } = fixture();
    addSnapshot('without');
    addSnapshot('other', otherKey);
    addSandbox('without');
    addSandbox('other', otherKey);
    assert.equal(requests.snapshotOf(key), undefined);
    assert.deepEqual(requests.sandboxesOf(key), []);
    addSandbox('leaving', key, true);
    assert.deepEqual(requests.sandboxesOf(key), []);
    assert.equal(await requests.once(otherRequest, () => Promise.resolve('free')), 'free');

    addSandbox('child', key);
    assert.deepEqual(
      requests.sandboxesOf(key).map(({ id }) => id),
      ['child'],
    );
    await assert.rejects(
      requests.once(otherRequest, () => assert.fail('it ran')),
      REUSED,
    );
    addSnapshot('made', key);
    assert.equal(requests.snapshotOf(key)?.tag, 'made');
    assert.equal(await requests.once(key, () => Promise.resolve('same')), 'same');
  });

  it('finds the rollback of a key, and refuses another request with it', async () => {
    const { requests, addRolledBack } = fixture();
    assert.equal(requests.rolledBack(undefined), undefined);
    assert.equal(requests.rolledBack(key), undefined);
    addRolledBack(otherKey, { ...key, kept: 'before' });
    assert.deepEqual(requests.rolledBack(key), { keptTag: 'before' });
    assert.deepEqual(requests.rolledBack(otherKey), { keptTag: undefined });
    await assert.rejects(
      requests.once(otherRequest, () => assert.fail('it ran')),
      REUSED,
    );
    assert.deepEqual(requests.sandboxesOf(key), []);
  });
});
