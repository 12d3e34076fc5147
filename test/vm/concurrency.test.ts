import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { openHost } from '../../src/sandbox/host/open-host.js';
import { sleep } from '../../src/base/index.js';
import { Lab } from '../support/lab.js';
import { vmProcesses } from '../support/leftovers.js';
import { foldersWithTemplate } from '../support/template-copy.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

describe('calls that meet', { timeout: 240_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('concurrency');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('a sandbox removed while it is branched ends the branch, and nothing of either is left', async () => {
    for (const delayMs of [0, 5, 40, 120]) {
      const source = await lab.spawn();
      await source.python('memory = bytearray(100 << 20)');
      const branching = lab.host.branch(source.id, { mode: 'live', wait: 'ready' }).then(
        ({ tag }) => tag,
        (error: unknown) => error as { code: string },
      );
      await sleep(delayMs);
      const removing = lab.host.removeSandbox(source.id);
      const outcome = await branching;
      await removing;
      assert.deepEqual(await vmProcesses(lab.folders.hotDir), []);
      if (typeof outcome === 'string') {
        await lab.host.deleteSnapshot(outcome, { cascade: false, force: false });
      } else {
        assert.equal(outcome.code, 'sandbox_not_running', `after ${delayMs} ms`);
      }
      assert.deepEqual(await lab.leftovers(), []);
    }
  });

  it('two branches of one source: one of them is told that the other is under way', async () => {
    const source = await lab.spawn();
    const outcomes = await Promise.allSettled([lab.branch(source), lab.branch(source)]);
    const refused = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
    );
    assert.deepEqual(
      refused.map((error) => (error as { code: string }).code),
      ['branch_in_progress'],
    );
    assert.equal(await source.python('1 + 1'), '2');
  });

  it('a hundred branches of one source: whichever is refused is told why, and nothing of it is left', async () => {
    const source = await lab.spawn();
    await source.python("x = 'kept'");
    const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => lab.branch(source)));
    const made = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const codes = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [(outcome.reason as { code: string }).code] : [],
    );
    assert(made.length > 0 && codes.length > 0);
    for (const code of codes) assert(['branch_in_progress', 'too_many_branches'].includes(code), code);
    assert.deepEqual(await lab.leftovers(), []);
    const tags = (await lab.host.listSnapshots()).map(({ tag }) => tag);
    assert.deepEqual(tags.sort(), [TEMPLATE_TAG, ...made].sort());
    const child = await lab.spawn(await lab.branch(source));
    assert.equal(await child.python('x'), "'kept'");
    assert.equal(await source.python('x'), "'kept'");
  });

  it('a sandbox removed twice at once is removed', async () => {
    const source = await lab.spawn();
    await Promise.all([lab.host.removeSandbox(source.id), lab.host.removeSandbox(source.id)]);
    await assert.rejects(lab.host.removeSandbox(source.id), { code: 'sandbox_not_found' });
  });

  it('a snapshot deleted while children start from it is refused; deleted afterwards, the children live on', async () => {
    const source = await lab.spawn();
    await source.python("x = 'kept'");
    const tag = await lab.branch(source);
    const spawning = lab.spawn(tag);
    await sleep(20);
    for (const force of [false, true]) {
      await assert.rejects(lab.host.deleteSnapshot(tag, { cascade: false, force }), {
        code: 'snapshot_in_use',
      });
    }
    const child = await spawning;
    await lab.host.deleteSnapshot(tag, { cascade: false, force: true });
    assert.equal(await child.python('x'), "'kept'");
    await assert.rejects(lab.spawn(tag), { code: 'snapshot_not_found' });
  });

  it('a snapshot deleted again and again while eight children start from it is there until they have; all live on', async () => {
    const source = await lab.spawn();
    await source.python("x = 'kept'");
    const tag = await lab.branch(source);
    const spawning = Promise.all(Array.from({ length: 8 }, () => lab.spawn(tag)));
    let refusedCount = 0;
    for (const started = spawning.then(() => 'started'); ; refusedCount += 1) {
      if ((await Promise.race([started, sleep(30)])) === 'started') break;
      const deleting = lab.host.deleteSnapshot(tag, { cascade: false, force: true });
      const code = await deleting.catch((error: unknown) => (error as { code: string }).code);
      if (code === undefined) break;
      assert.equal(code, 'snapshot_in_use');
    }
    assert(refusedCount > 0, 'it was never refused');
    const children = await spawning;
    const tags = (await lab.host.listSnapshots()).map((snapshot) => snapshot.tag);
    if (tags.includes(tag)) await lab.host.deleteSnapshot(tag, { cascade: false, force: true });
    assert.deepEqual(await lab.leftovers(), []);
    for (const child of children) assert.equal(await child.python('x'), "'kept'");
  });

  it('children for which there is no memory are refused before any of them starts', async () => {
    const spawning = lab.host.spawn({ snapshotTag: TEMPLATE_TAG, count: 1000 });
    await assert.rejects(spawning, (error: unknown) => {
      const { code, status, details } = error as {
        code: string;
        status: number;
        details: Record<string, number>;
      };
      assert.deepEqual([code, status], ['no_memory', 507]);
      const { needed_bytes: needed = 0, available_bytes: available = 0 } = details;
      assert(needed > available && available > 0);
      return true;
    });
    assert.deepEqual(await vmProcesses(lab.folders.hotDir), []);
  });
});

describe('close() of a host with spawns under way', { timeout: 120_000 }, () => {
  it('undoes them, and leaves the sandboxes that were there', async () => {
    const folders = await foldersWithTemplate('closing');
    const options = { ...folders, maxConcurrentBranches: 4, emit: () => undefined };
    let host = await openHost(options);
    try {
      const [kept] = await host.spawn({ snapshotTag: TEMPLATE_TAG, count: 1 });
      const spawning = assert.rejects(host.spawn({ snapshotTag: TEMPLATE_TAG, count: 3 }), {
        code: 'shutting_down',
      });
      await sleep(150);
      await host.close();
      await spawning;
      assert.deepEqual(
        (await vmProcesses(folders.hotDir)).map(({ pid }) => pid),
        [kept?.pid],
      );
      host = await openHost(options);
      assert.deepEqual(
        (await host.listSandboxes()).map(({ id }) => id),
        [kept?.id],
      );
    } finally {
      for (const { id } of await host.listSandboxes()) await host.removeSandbox(id);
      await host.close();
      await folders.remove();
    }
  });
});
