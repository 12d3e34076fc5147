/** What PagerClient must do with any pager, fake or real, over 4 MiB of RAM that is not mapped yet. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  PAGER_PROTOCOL_VERSION,
  PagerClient,
  PagerDisconnected,
  PagerError,
  type PagerBranchRequest,
} from '../../src/pager/index.js';

export interface PagerUnderTest {
  readonly socketPath: string;
  /** Holds `marker`, which RAM is mapped from, and whatever a branch writes. */
  readonly dir: string;
  /** Starts the vCPUs: after `map`, before a branch. */
  run(): Promise<void>;
  /** Ends the VMM; idempotent. */
  close(): Promise<void>;
}

type Start = () => Promise<PagerUnderTest>;

const isError = (errnoName: string) => (error: unknown) =>
  error instanceof PagerError && error.errnoName === errnoName;

export function describePagerClient(name: string, start: Start): void {
  const test = (title: string, body: (client: PagerClient, pager: PagerUnderTest) => Promise<void>): void =>
    void it(title, async () => {
      const pager = await start();
      const client = await PagerClient.connect(pager.socketPath);
      try {
        await body(client, pager);
      } finally {
        await client.close();
        await pager.close();
      }
    });

  describe(`PagerClient with ${name}`, () => {
    test('answers requests made at once, each with its own answer', async (client, { dir }) => {
      const [hello, mapping, again] = await Promise.all([
        client.hello(),
        client.map(join(dir, 'marker'), []),
        client.hello(),
      ]);
      assert.deepEqual([hello.version, hello.pageBytes], [PAGER_PROTOCOL_VERSION, 4096]);
      assert.deepEqual(mapping, { ramBytes: 4 << 20, mappedRuns: 0 });
      assert.deepEqual(again, hello);
    });

    test('rejects what is refused, and stays usable', async (client, { dir }) => {
      const { running, done } = client.branch(requestIn(dir, 'early'));
      await assert.rejects(running, isError('ENXIO'));
      await assert.rejects(done, isError('ENXIO'));
      await client.map(join(dir, 'marker'), []);
      await assert.rejects(client.map(join(dir, 'marker'), []), isError('EALREADY'));
      assert.equal((await client.hello()).pageBytes, 4096);
    });

    test('tells of the pause, then of the capture', async (client, pager) => {
      await client.map(join(pager.dir, 'marker'), []);
      await pager.run();
      const { running, done } = client.branch(requestIn(pager.dir, 'one'));
      const settled: string[] = [];
      const [pause, capture] = await Promise.all([
        running.finally(() => settled.push('running')),
        done.finally(() => settled.push('done')),
      ]);
      assert.deepEqual(settled, ['running', 'done']);
      assert(pause.pauseUs >= pause.stopUs + pause.stateUs);
      assert.equal(pause.tailBytes, 0);
      assert.equal(
        capture.runs.reduce((sum, [, lengthBytes]) => sum + lengthBytes, 0),
        capture.capturedBytes,
      );
    });

    test('fails a branch as a whole, and the next one works', async (client, pager) => {
      await client.map(join(pager.dir, 'marker'), []);
      await pager.run();
      const failed = client.branch(requestIn(join(pager.dir, 'absent'), 'two'));
      const good = client.branch(requestIn(pager.dir, 'three'));
      await assert.rejects(failed.running, isError('ENOENT'));
      await assert.rejects(failed.done, isError('ENOENT'));
      assert((await good.running).pauseUs > 0);
      await good.done;
    });

    test('refuses a path that no request can hold, before anything is sent', async (client, { dir }) => {
      assert.throws(() => client.branch(requestIn(`${dir}/a\tlayer=b`, 'four')), TypeError);
      await assert.rejects(client.map(`${dir}/a\nhello`, []), TypeError);
      assert.equal((await client.hello()).pageBytes, 4096);
    });

    test('serves the next client once one is closed', async (client, pager) => {
      await client.hello();
      await client.close();
      await assert.rejects(client.hello(), PagerDisconnected);
      const next = await PagerClient.connect(pager.socketPath);
      assert.equal((await next.hello()).pageBytes, 4096);
      await next.close();
    });

    test('fails what waits and what comes later when the VMM is gone', async (client, pager) => {
      await client.hello();
      await pager.close();
      await assert.rejects(client.hello(), PagerDisconnected);
      await assert.rejects(client.branch(requestIn(pager.dir, 'five')).done, PagerDisconnected);
      await assert.rejects(PagerClient.connect(pager.socketPath), PagerDisconnected);
    });
  });
}

function requestIn(dir: string, name: string): PagerBranchRequest {
  return {
    mode: 'live',
    layerPath: join(dir, `layer-${name}`),
    statePath: join(dir, `state-${name}`),
    deadlineMs: 20_000,
  };
}
