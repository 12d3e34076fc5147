import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { FakePager, idleGuest, type PagerScript } from '../../test/support/fake-pager.js';
import { describePagerClient } from '../../test/support/pager-suite.js';
import { PagerClient, PagerDisconnected, PagerError, type PagerBranchRequest } from './index.js';

let dir = '';
let socketCount = 0;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bough-pager-'));
});
after(() => rm(dir, { recursive: true }));

const listen = (script: PagerScript): Promise<FakePager> =>
  FakePager.listen(join(dir, `${socketCount++}.sock`), script);

const silent: PagerScript = () => undefined;
const branchRequest: PagerBranchRequest = { mode: 'live', layerPath: '/l', statePath: '/s', deadlineMs: 9 };

describePagerClient('the fake', async () => {
  const fake = await listen(idleGuest());
  return {
    socketPath: fake.socketPath,
    dir,
    run: () => Promise.resolve(),
    close: () => fake.close(),
  };
});

describe('PagerClient', { timeout: 30_000 }, () => {
  const withPager = async (
    script: PagerScript,
    body: (client: PagerClient, pager: FakePager) => Promise<void>,
  ): Promise<void> => {
    const pager = await listen(script);
    const client = await PagerClient.connect(pager.socketPath);
    try {
      await body(client, pager);
    } finally {
      await client.close();
      await pager.close();
    }
  };

  it('sends a request only after the one before has its last answer', async () => {
    await withPager(silent, async (client, pager) => {
      const branch = client.branch(branchRequest);
      const hello = client.hello();
      await until(() => pager.received.length > 0);
      pager.send('running\tpause_us=1\n');
      // The pause lacks its other numbers, so its promise fails; the branch itself goes on.
      await assert.rejects(branch.running, /no number "events_us"/);
      assert.deepEqual(pager.received.length, 1);
      pager.send('ok\tcaptured_bytes=0\tsweep_us=0\tfaults=0\truns=\n');
      await until(() => pager.received.length === 2);
      pager.send('ok\tversion=1\tpage_bytes=4096\ttracking=none\n');
      assert.deepEqual(await branch.done, {
        capturedBytes: 0,
        sweepUs: 0,
        faults: 0,
        wentOn: false,
        runs: [],
      });
      assert.equal((await hello).tracking, 'none');
    });
  });

  it('takes an answer in as many pieces as it comes', async () => {
    await withPager(silent, async (client, pager) => {
      const hello = client.hello();
      await until(() => pager.received.length > 0);
      for (const piece of ['o', 'k\tver', 'sion=1\tpage_bytes=4096\ttracking=sync', '\n']) {
        pager.send(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(await hello, { version: 1, pageBytes: 4096, tracking: 'sync' });
    });
  });

  it('a branch whose capture fails after the pause has a pause and no capture', async () => {
    const times = 'pause_us events_us stop_us scan_us copy_us tail_us state_us precopy_us precopied_pages';
    const counts = 'passes residue_pages armed_pages arm_errno tail_bytes windows switches';
    const running = `${times} ${counts}`.split(' ').map((key) => `${key}=1`);
    const script: PagerScript = () => [
      ['running', ...running].join('\t'),
      'error\terrno=28\toperation=save the armed pages',
    ];
    await withPager(script, async (client) => {
      const { running: paused, done } = client.branch(branchRequest);
      assert.equal((await paused).pauseUs, 1);
      await assert.rejects(done, (error: unknown) => {
        assert(error instanceof PagerError);
        assert.equal(
          error.message,
          'The pager could not save the armed pages: no space left on device (ENOSPC)',
        );
        return true;
      });
    });
  });

  it('breaks off with a pager that breaks the protocol, and nobody is left waiting', async () => {
    for (const answer of ['ok\nok\n', 'error\toperation=x\n', '\n']) {
      await withPager(silent, async (client, pager) => {
        const asked = client.hello();
        await until(() => pager.received.length > 0);
        pager.send(answer);
        await assert.rejects(asked);
        await assert.rejects(client.hello(), PagerDisconnected);
      });
    }
  });

  it('fails only the call whose answer lacks something', async () => {
    const answers = [
      ['ok\tversion=one\tpage_bytes=4096'],
      ['ok\tcaptured_bytes=0\tsweep_us=0\tfaults=0\truns=zz'],
      ['ok\tversion=1\tpage_bytes=4096'],
    ];
    await withPager(
      () => answers.shift(),
      async (client) => {
        await assert.rejects(client.hello(), /no number "version"/);
        await assert.rejects(client.branch(branchRequest).done, /Not a run of a layer/);
        assert.equal((await client.hello()).tracking, 'none');
      },
    );
  });

  it('close() fails what is under way, and does it once', async () => {
    await withPager(silent, async (client, pager) => {
      const { running, done } = client.branch(branchRequest);
      const refused = Promise.all(
        [running, done, client.hello()].map((each) => assert.rejects(each, PagerDisconnected)),
      );
      await until(() => pager.received.length > 0);
      await Promise.all([client.close(), client.close()]);
      await refused;
    });
  });
});

/** Waits for what must come; only the test's own limit ends it otherwise. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve));
}
