import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { BranchMode } from '../../src/contract/index.js';
import type { LocalHost } from '../../src/sandbox/host/local-host.js';
import { openTestHost, TEMPLATE_TAG } from '../support/test-host.js';
import { limitMs } from '../support/time-limit.js';

/** What setting a guest's clock takes is what the clock is late by. */
const CLOCK_MS = limitMs(1000);

describe('branch() of a real guest', { timeout: limitMs(300_000) }, () => {
  let host: LocalHost;
  before(async () => {
    host = await openTestHost();
  });
  after(async () => {
    for (const { id } of await host.listSandboxes()) await host.removeSandbox(id);
    await host.close();
  });

  const spawn = async (tag: string): Promise<string> => {
    const [sandbox] = await host.spawn({ snapshotTag: tag, count: 1 });
    assert(sandbox);
    return sandbox.id;
  };
  const evaluate = async (id: string, code: string): Promise<string | null> => {
    const { result, error } = await host.evaluate(id, { code, timeoutMs: limitMs(30_000) });
    assert.equal(error, null);
    return result;
  };
  const shell = async (id: string, script: string): Promise<string> => {
    const { stdout, stderr, exitCode } = await host.exec(id, {
      args: ['sh', '-c', script],
      timeoutMs: limitMs(30_000),
    });
    assert.equal(exitCode, 0, stderr);
    return stdout.trim();
  };

  for (const mode of ['live', 'diff', 'full'] satisfies BranchMode[]) {
    it(`${mode}: the child has the source's memory and disk of that instant, and the source runs on`, async () => {
      const source = await spawn(TEMPLATE_TAG);
      await evaluate(source, "x = {'answer': 42}");
      await shell(source, 'echo before > /root/note; sync');
      const snapshot = await host.branch(source, { mode, wait: 'ready' });
      assert.equal(snapshot.status, 'ready');
      assert(snapshot.pauseMs !== undefined && snapshot.pauseMs > 0);
      await evaluate(source, 'x = None');
      await shell(source, 'echo after > /root/note');

      const child = await spawn(snapshot.tag);
      assert.equal(await evaluate(child, "x['answer']"), '42');
      assert.equal(await shell(child, 'cat /root/note'), 'before');
      assert.equal(await shell(source, 'cat /root/note'), 'after');
      await host.removeSandbox(child);
      await host.removeSandbox(source);
      await host.deleteSnapshot(snapshot.tag, { cascade: false, force: false });
    });
  }

  it('a branch of a branch of a branch holds what each generation added', async () => {
    let id = await spawn(TEMPLATE_TAG);
    await evaluate(id, 'trail = [0]');
    const tags: string[] = [];
    for (const generation of [1, 2, 3]) {
      await evaluate(id, `trail.append(${generation})`);
      await shell(id, `echo ${generation} >> /root/trail`);
      const snapshot = await host.branch(id, { mode: 'live', wait: 'ready' });
      tags.push(snapshot.tag);
      const child = await spawn(snapshot.tag);
      await host.removeSandbox(id);
      id = child;
    }
    assert.equal(await evaluate(id, 'trail'), '[0, 1, 2, 3]');
    assert.equal(await shell(id, 'cat /root/trail'), '1\n2\n3');
    await host.removeSandbox(id);
    for (const tag of tags.reverse()) await host.deleteSnapshot(tag, { cascade: false, force: false });
  });

  it('children of one branch have names, ids, random numbers and clocks of their own', async () => {
    const source = await spawn(TEMPLATE_TAG);
    const { children, snapshot } = await host.fork(source, { branch: { mode: 'live' }, count: 3 });
    const ids = children.map((child) => {
      assert('sandbox' in child, JSON.stringify(child));
      return child.sandbox.id;
    });
    const seen = await Promise.all(
      [source, ...ids].map(async (id) => {
        const asked = Date.now();
        const text = await shell(
          id,
          'hostname; cat /etc/machine-id; head -c 16 /dev/urandom | od -An -tx1; date +%s%3N',
        );
        return { lines: text.split('\n'), asked, answered: Date.now() };
      }),
    );
    for (const line of [0, 1, 2]) {
      const values = seen.map(({ lines }) => lines[line]);
      assert.equal(new Set(values).size, values.length, `not unique: ${values.join(' ')}`);
    }
    for (const { lines, asked, answered } of seen) {
      const clock = Number(lines[3]);
      assert(
        clock > asked - CLOCK_MS && clock < answered + CLOCK_MS,
        `the guest's clock is at ${clock}, asked for from ${asked} to ${answered}`,
      );
    }
    for (const id of [source, ...ids]) await host.removeSandbox(id);
    await host.deleteSnapshot(snapshot.tag, { cascade: false, force: false });
  });

  it('a disk written to between branches is switched, and each child reads its own instant', async () => {
    const source = await spawn(TEMPLATE_TAG);
    const tags: string[] = [];
    for (const generation of [1, 2, 3]) {
      await shell(
        source,
        `head -c 3000000 /dev/urandom > /root/big; sha256sum /root/big > /root/big.sum; sync; echo ${generation} > /root/n`,
      );
      const snapshot = await host.branch(source, { mode: 'live', wait: 'ready' });
      tags.push(snapshot.tag);
    }
    for (const [index, tag] of tags.entries()) {
      const child = await spawn(tag);
      assert.equal(await shell(child, 'cat /root/n'), String(index + 1));
      assert.match(await shell(child, 'sha256sum -c /root/big.sum'), /OK/);
      await host.removeSandbox(child);
    }
    assert.match(await shell(source, 'sha256sum -c /root/big.sum'), /OK/);
    await host.removeSandbox(source);
    for (const tag of tags) await host.deleteSnapshot(tag, { cascade: false, force: false });
  });
});
