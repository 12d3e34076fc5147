import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { armFailpoint, disarmFailpoints, sleep } from '../../src/base/index.js';
import { QmpClient } from '../../src/qmp/index.js';
import { sandboxPaths } from '../../src/sandbox/entity/paths.js';
import { openHost } from '../../src/sandbox/host/open-host.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { vmProcesses } from '../support/leftovers.js';
import { refusal, refusedWith } from '../support/refusal.js';
import { foldersWithTemplate } from '../support/template-copy.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

const DEADLINE_MS = 20_000;
const POLL_MS = 10;
const FLOOD_MS = 3_000;

/** What a guest's kernel does at once for each letter, and what the host is told. */
const ENDS = [
  { what: 'powers off', letter: 'o', reason: /its guest powered off/ },
  { what: 'reboots', letter: 'b', reason: /its guest rebooted/ },
  { what: 'panics', letter: 'c', reason: /^kernel panic: sysrq triggered crash$/ },
];

describe('a guest that ends by itself', { timeout: 180_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('ends');
  });
  afterEach(async () => {
    disarmFailpoints();
    await lab.clean();
  });
  after(() => lab.close());

  /** Waits for the end; the end of the guest's console. */
  const isFailed = async ({ id }: Guest, told: RegExp): Promise<string | undefined> => {
    const giveUpMs = performance.now() + DEADLINE_MS;
    for (;;) {
      const { state, stateReason: reason, pid, consoleTail } = await lab.host.getSandbox(id);
      const listed = (await lab.host.listSandboxes()).find((each) => each.id === id);
      assert.equal(listed?.consoleTail, undefined);
      if (state === 'failed') {
        assert.equal(pid, undefined);
        assert.match(reason ?? '', told);
        return consoleTail;
      }
      assert(performance.now() < giveUpMs, `it is ${state}`);
      await sleep(POLL_MS);
    }
  };

  for (const { what, letter, reason } of ENDS) {
    const end = async (guest: Guest): Promise<void> => {
      const script = `echo ${letter} > /proc/sysrq-trigger; sleep 10`;
      const { status } = await refusal(guest.exec(['sh', '-c', script]));
      assert(status === 502 || status === 409, `${status}`);
      const consoleTail = await isFailed(guest, reason);
      if (letter === 'c') assert.match(consoleTail ?? '', /^.*sysrq.*[^]*Kernel panic[^]*Call Trace/m);
    };

    it(`${what}: the sandbox is failed, and can be removed`, async () => {
      const source = await lab.spawn();
      await end(source);
      await refusedWith('sandbox_not_running', 409, lab.branch(source));
      await refusedWith('sandbox_not_running', 409, source.exec(['true']));
      await lab.end(source);
      assert.deepEqual(await vmProcesses(lab.folders.hotDir), []);
    });

    it(`${what} while it is branched: before the capture there is no snapshot, after it a whole one`, async () => {
      const early = await lab.spawn();
      armFailpoint('branch.prepared', () => end(early));
      await refusedWith('source_died', 500, lab.branch(early, { tag: 'early' }));
      await refusedWith('snapshot_not_found', 404, lab.host.getSnapshot('early'));
      assert.deepEqual(await lab.leftovers(), []);

      const late = await lab.spawn();
      await late.python("x = 'kept'");
      let ending: Promise<void> | undefined;
      armFailpoint('branch.running', () => void (ending = end(late)));
      const outcome = await lab.branch(late, { tag: 'late' }).catch(codeOf);
      await ending;
      if (outcome === 'late') assert.equal(await (await lab.spawn('late')).python('x'), "'kept'");
      else assert.equal(outcome, 'source_died');
      assert.deepEqual(await lab.leftovers(), []);
    });

    it(`${what} when a branch was just asked for: there is a snapshot or nothing of it`, async () => {
      const source = await lab.spawn();
      const branching = lab.branch(source, { tag: 'asked' }).catch(codeOf);
      const ending = end(source);
      const outcome = await branching;
      await ending;
      const tags = (await lab.host.listSnapshots()).map(({ tag }) => tag);
      assert.equal(tags.includes('asked'), outcome === 'asked', outcome);
      assert.deepEqual(await lab.leftovers(), []);
    });
  }

  it('floods its console and panics: the host keeps the end of it, and no more', async () => {
    const guest = await lab.spawn();
    const flood = 'exec >/dev/null 2>&1; (while :; do echo flood > /dev/ttyS0; done) &';
    await guest.exec(['setsid', 'sh', '-c', flood]);
    const { stateDir } = sandboxPaths(lab.folders, guest.id);
    await sleep(FLOOD_MS);
    for (const name of await readdir(stateDir)) {
      const { size } = await stat(join(stateDir, name));
      assert(size < 64 << 10, `${name} has ${size} bytes`);
    }
    void guest.exec(['sh', '-c', 'echo c > /proc/sysrq-trigger']).catch(() => undefined);
    const consoleTail = (await isFailed(guest, /^kernel panic: /)) ?? '';
    const consoleBytes = Buffer.byteLength(consoleTail);
    assert(consoleBytes > 0 && consoleBytes <= 4096, `${consoleBytes} bytes`);
    await lab.end(guest);
  });
});

describe('a guest that ends while no daemon runs', { timeout: 120_000 }, () => {
  it('is told of by the next one, with its console', async () => {
    const folders = await foldersWithTemplate('orphan');
    const open = () => openHost({ ...folders, maxConcurrentBranches: 1, emit: () => undefined });
    let host = await open();
    try {
      const [sandbox] = await host.spawn({ snapshotTag: TEMPLATE_TAG, count: 1 });
      assert(sandbox);
      const later = '(sleep 3; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &';
      await host.exec(sandbox.id, { args: ['sh', '-c', later], timeoutMs: 30_000 });
      await host.close();
      const { qmpSocket } = sandboxPaths(folders, sandbox.id);
      const giveUpMs = performance.now() + DEADLINE_MS;
      while ((await statusOf(qmpSocket)) !== 'shutdown') {
        assert(performance.now() < giveUpMs, 'the guest does not end');
        await sleep(POLL_MS);
      }
      host = await open();
      const { state, stateReason: reason, consoleTail: tail } = await host.getSandbox(sandbox.id);
      assert.deepEqual([state, reason], ['failed', 'kernel panic: sysrq triggered crash']);
      assert.match(tail ?? '', /Kernel panic/);
      assert.deepEqual(await vmProcesses(folders.hotDir), []);
      await host.removeSandbox(sandbox.id);
    } finally {
      await host.close();
      await folders.remove();
    }
  });
});

/** What QEMU calls its VM's state. */
async function statusOf(qmpSocket: string): Promise<string> {
  const qmp = await QmpClient.connect(qmpSocket);
  try {
    return (await qmp.execute('query-status')).status;
  } finally {
    await qmp.close();
  }
}

const codeOf = (error: unknown): string => (error as { code: string }).code;
