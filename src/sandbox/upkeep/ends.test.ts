import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '../../../test/support/fake-clock.js';
import { Deferred } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import { SandboxEnds, type EndActions, type SandboxWithEnd } from './ends.js';
import { LifetimeClock, lifetimeOf, type Lifetime } from '../entity/lifetime.js';

interface FakeSandbox extends SandboxWithEnd {
  isBranching: boolean;
  isRollingBack: boolean;
  isBeingRemoved: boolean;
  isHalfRemoved: boolean;
  record: { lifetime?: Lifetime | undefined; endTag?: string | undefined };
}

/** A host of such sandboxes: `done` lists what was done to them; single actions can be replaced. */
class FakeHost {
  readonly clock = new FakeClock();
  readonly sandboxes = new Map<string, FakeSandbox>();
  readonly done: string[] = [];
  readonly snapshots = new Set<string>();
  script: {
    remove?: EndActions<FakeSandbox>['remove'];
    capture?: EndActions<FakeSandbox>['capture'];
    durable?: EndActions<FakeSandbox>['durable'];
  } = {};
  ends = this.start();

  /** Another daemon over the same sandboxes. */
  start(): SandboxEnds<FakeSandbox> {
    const note =
      (what: string) =>
      (arg: string | FakeSandbox): Promise<void> => {
        this.done.push(`${what} ${typeof arg === 'string' ? arg : arg.id}`);
        return Promise.resolve();
      };
    const actions: EndActions<FakeSandbox> = {
      sandboxes: () => [...this.sandboxes.values()],
      remove: async (sandbox) => {
        await note('remove')(sandbox);
        this.sandboxes.delete(sandbox.id);
      },
      chooseTag: ({ id }) => `end-${id}`,
      isCaptured: (_sandbox, tag) => this.snapshots.has(tag),
      capture: async (_sandbox, tag) => {
        await note('capture')(tag);
        this.snapshots.add(tag);
      },
      durable: note('durable'),
      removeSnapshot: async (tag) => {
        await note('remove snapshot')(tag);
        this.snapshots.delete(tag);
      },
    };
    const scripted: EndActions<FakeSandbox> = {
      ...actions,
      remove: (sandbox) => (this.script.remove ?? actions.remove)(sandbox),
      capture: (sandbox, tag) => (this.script.capture ?? actions.capture)(sandbox, tag),
      durable: (tag, signal) => (this.script.durable ?? actions.durable)(tag, signal),
    };
    this.ends = new SandboxEnds(scripted, () => undefined, this.clock);
    return this.ends;
  }

  add(id: string, request: Parameters<typeof lifetimeOf>[0], state = 'running'): FakeSandbox {
    const record: FakeSandbox['record'] = { lifetime: lifetimeOf(request, this.clock) };
    const sandbox: FakeSandbox = {
      id,
      state,
      isBranching: false,
      isRollingBack: false,
      isBeingRemoved: false,
      isHalfRemoved: false,
      record,
      lifetime: new LifetimeClock(() => record.lifetime, this.clock.unixSecs, this.clock),
      noteEnd: (tag) => {
        record.endTag = tag;
        return Promise.resolve();
      },
    };
    this.sandboxes.set(id, sandbox);
    return sandbox;
  }

  async sweep(): Promise<string[]> {
    this.ends.sweep();
    await this.ends.settled();
    return this.done.splice(0);
  }
}

const fail = (error: Error) => () => Promise.reject(error);

describe('the ends of sandboxes', () => {
  it('removes those whose time is over, and no other', async () => {
    const host = new FakeHost();
    host.add('short', { endInMs: 10_000 });
    host.add('long', { endInMs: 20_000 });
    host.add('endless', {});
    assert.deepEqual(await host.sweep(), []);
    host.clock.pass(10);
    assert.deepEqual(await host.sweep(), ['remove short']);
    host.clock.pass(10);
    assert.deepEqual(await host.sweep(), ['remove long']);
  });

  it('keeps the last snapshot when the removal fails, and tries that again', async () => {
    const host = new FakeHost();
    const sandbox = host.add('a', { endInMs: 10_000, onEnd: 'snapshot' });
    host.clock.pass(10);
    host.script.remove = () => {
      sandbox.isBeingRemoved = sandbox.isHalfRemoved = true;
      return Promise.reject(new Error('EIO'));
    };
    assert.deepEqual(await host.sweep(), ['capture end-a', 'durable end-a']);
    assert.deepEqual([...host.snapshots], ['end-a'], 'it is all that may be left');
    assert.match(sandbox.lifetime.warning ?? '', /EIO/);
    assert.deepEqual(await host.sweep(), [], 'not at once');
    delete host.script.remove;
    host.clock.pass(30);
    assert.deepEqual(await host.sweep(), ['durable end-a', 'remove a']);
  });

  it('leaves a removal that someone else has begun to them', async () => {
    const host = new FakeHost();
    host.add('a', { endInMs: 10_000 }).isBeingRemoved = true;
    host.clock.pass(10);
    assert.deepEqual(await host.sweep(), []);
  });

  it('goes on with a removal that someone else has begun in vain, and takes no snapshot then', async () => {
    const host = new FakeHost();
    const sandbox = host.add('a', { endInMs: 10_000, onEnd: 'snapshot' });
    sandbox.isBeingRemoved = sandbox.isHalfRemoved = true;
    host.script.remove = fail(new Error('it is still there'));
    assert.deepEqual(await host.sweep(), []);
    assert.match(sandbox.lifetime.warning ?? '', /its removal has begun before.* it is still there/);
    delete host.script.remove;
    host.clock.pass(30);
    assert.deepEqual(await host.sweep(), ['remove a']);
  });

  it('waits for a branch that is under way', async () => {
    const host = new FakeHost();
    const sandbox = host.add('a', { endInMs: 10_000 });
    sandbox.isBranching = true;
    host.clock.pass(10);
    assert.deepEqual(await host.sweep(), []);
    sandbox.isBranching = false;
    assert.deepEqual(await host.sweep(), ['remove a']);
  });

  it('removes only after the snapshot is durable', async () => {
    const host = new FakeHost();
    const sandbox = host.add('a', { idleTimeoutMs: 10_000, onEnd: 'snapshot' });
    host.clock.pass(10);
    const durable = new Deferred<undefined>();
    host.script.durable = () => durable.promise;
    host.ends.sweep();
    host.ends.sweep();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(host.done, ['capture end-a']);
    assert.equal(sandbox.record.endTag, 'end-a', 'takes no calls meanwhile');
    durable.resolve(undefined);
    await host.ends.settled();
    assert.deepEqual(host.done, ['capture end-a', 'remove a']);
  });

  it('leaves one alone that was put off, rolled back or replaced while it waited for its turn', async () => {
    const host = new FakeHost();
    const first = new Deferred<undefined>();
    host.script.capture = () => first.promise;
    const [, , later, rolling, replaced, due] = ['a', 'b', 'later', 'rolling', 'replaced', 'due'].map((id) =>
      host.add(id, { endInMs: 10_000, onEnd: 'snapshot' }),
    );
    host.clock.pass(10);
    host.ends.sweep();
    await new Promise((resolve) => setImmediate(resolve));
    assert(later && rolling && replaced && due);
    later.record.lifetime = lifetimeOf({ endInMs: 3_600_000, onEnd: 'snapshot' }, host.clock);
    rolling.isRollingBack = true;
    host.sandboxes.set('replaced', { ...replaced });
    delete host.script.capture;
    first.resolve(undefined);
    await host.ends.settled();
    assert.deepEqual([...host.sandboxes.keys()], ['later', 'rolling', 'replaced']);
    for (const each of [later, rolling, replaced])
      assert.deepEqual([each.record.endTag, each.lifetime.warning], [undefined, undefined]);
    assert.deepEqual([...host.snapshots], ['end-due']);
  });

  it('keeps the sandbox with a warning when its snapshot fails, and tries again, less and less often', async () => {
    const host = new FakeHost();
    const sandbox = host.add('a', { endInMs: 10_000, onEnd: 'snapshot' });
    host.clock.pass(10);
    host.script.capture = fail(
      new BoughError('no_space', { store: 'durable', neededBytes: 2, availableBytes: 1 }),
    );
    assert.deepEqual(await host.sweep(), []);
    assert.match(sandbox.lifetime.warning ?? '', /it is kept: The durable store cannot hold it/);
    assert.equal(sandbox.record.endTag, undefined, 'its users may go on');
    host.clock.pass(29);
    delete host.script.capture;
    assert.deepEqual(await host.sweep(), []);
    host.clock.pass(1);
    host.script.capture = fail(new Error('again'));
    assert.deepEqual(await host.sweep(), []);
    host.clock.pass(59);
    delete host.script.capture;
    assert.deepEqual(await host.sweep(), []);
    host.clock.pass(1);
    assert.deepEqual(await host.sweep(), ['capture end-a', 'durable end-a', 'remove a']);
  });

  it('removes a snapshot that does not become durable', async () => {
    const host = new FakeHost();
    const sandbox = host.add('a', { endInMs: 10_000, onEnd: 'snapshot' });
    host.clock.pass(10);
    host.script.durable = fail(new Error('the disk is full'));
    assert.deepEqual(await host.sweep(), ['capture end-a', 'remove snapshot end-a']);
    assert.ok(host.sandboxes.has('a'));
    assert.match(sandbox.lifetime.warning ?? '', /the disk is full/);
  });

  it('takes the warning back once the end has been put off', async () => {
    const host = new FakeHost();
    const sandbox = host.add('a', { endInMs: 10_000, onEnd: 'snapshot' });
    host.clock.pass(10);
    host.script.capture = fail(new Error('no'));
    await host.sweep();
    sandbox.record.lifetime = lifetimeOf({ endInMs: 3_600_000, onEnd: 'snapshot' }, host.clock);
    await host.sweep();
    assert.equal(sandbox.lifetime.warning, undefined);
  });

  it('tries again at once, without a warning, when only the branch limit is in the way', async () => {
    const host = new FakeHost();
    const sandbox = host.add('a', { endInMs: 10_000, onEnd: 'snapshot' });
    host.clock.pass(10);
    host.script.capture = fail(new BoughError('too_many_branches', { limit: 1 }));
    await host.sweep();
    assert.equal(sandbox.lifetime.warning, undefined);
    delete host.script.capture;
    assert.deepEqual((await host.sweep()).at(-1), 'remove a');
  });

  it('goes on where a daemon that was killed stopped: no second snapshot, then the removal', async () => {
    const host = new FakeHost();
    const sandbox = host.add('a', { endInMs: 10_000, onEnd: 'snapshot' });
    sandbox.record.endTag = 'end-a';
    host.snapshots.add('end-a');
    assert.deepEqual(await host.sweep(), ['durable end-a', 'remove a']);
  });

  it('begins again when that daemon had not captured anything yet', async () => {
    const host = new FakeHost();
    host.add('a', { endInMs: 10_000, onEnd: 'snapshot' }).record.endTag = 'end-a';
    assert.deepEqual(await host.sweep(), ['capture end-a', 'durable end-a', 'remove a']);
  });

  it('leaves an end under way to the next daemon when it stops', async () => {
    const host = new FakeHost();
    const sandbox = host.add('a', { endInMs: 10_000, onEnd: 'snapshot' });
    host.clock.pass(10);
    host.script.durable = (_tag, signal) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      );
    host.ends.sweep();
    await new Promise((resolve) => setImmediate(resolve));
    await host.ends.stop();
    assert.equal(sandbox.record.endTag, 'end-a');
    assert.deepEqual(host.done.splice(0), ['capture end-a']);
    delete host.script.durable;
    host.start();
    assert.deepEqual(await host.sweep(), ['durable end-a', 'remove a']);
  });
});
