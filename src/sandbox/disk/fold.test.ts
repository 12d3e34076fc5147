import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { Deferred } from '../../base/index.js';
import { sandboxPaths } from '../entity/paths.js';
import type { SandboxRecord } from '../entity/record.js';
import type { Sandbox } from '../entity/sandbox.js';
import type { HostContext } from '../host/context.js';
import { beginFold } from './fold.js';

const NODE = (index: number): string => (index === 0 ? 'disk0' : `overlay${index}`);

/** A sandbox whose disk is a chain of files of so many KiB, bottom first, and a QEMU that streams when it is told to. */
async function bench(t: TestContext, kib: readonly number[]) {
  const dir = await mkdtemp(join(tmpdir(), 'bough-fold-'));
  t.after(() => rm(dir, { recursive: true }));
  const paths = sandboxPaths({ hotDir: dir, stateDir: dir }, 'sb');
  const folder = join(paths.stateDir, 'disk');
  await mkdir(folder, { recursive: true });
  const files = kib.map((_, index) => join(folder, `${NODE(index)}.qcow2`));
  for (const [index, path] of files.entries())
    await writeFile(path, Buffer.alloc((kib[index] ?? 0) * 1024, 1));
  const disks = files.map((path, index) => ({ id: NODE(index), path, format: 'qcow2' as const }));
  let chain = files.map((_, index) => index);
  let streaming: Deferred<string> | undefined;
  const begun: Deferred<string>[] = [];
  const streams: unknown[] = [];
  const graph = () => ({
    nodes: [
      { id: 999, type: 'block-backend', name: 'vda' },
      ...files.flatMap((_, index) => [
        { id: 2 * index, type: 'block-driver', name: NODE(index) },
        { id: 2 * index + 1, type: 'block-driver', name: `${NODE(index)}-file` },
      ]),
    ],
    edges: [
      { parent: 999, child: 2 * (chain.at(-1) ?? 0), name: 'root' },
      ...files.map((_, index) => ({ parent: 2 * index, child: 2 * index + 1, name: 'file' })),
      ...chain
        .slice(1)
        .map((index, at) => ({ parent: 2 * index, child: 2 * (chain[at] ?? 0), name: 'backing' })),
    ],
  });
  const commands: Record<string, (args: Record<string, string>) => unknown> = {
    'x-debug-query-block-graph': graph,
    'query-named-block-nodes': () =>
      files.map((file, index) => ({ 'node-name': `${NODE(index)}-file`, file })),
    'query-jobs': () => (streaming === undefined ? [] : [{ id: 'fold' }]),
    'job-cancel': () => streaming?.resolve('cancelled'),
    'block-stream': (args) => {
      streams.push([args['device'], args['base-node']]);
      streaming = new Deferred<string>();
      begun.push(streaming);
      void streaming.promise.then((how) => {
        const base = files.findIndex((_, index) => NODE(index) === args['base-node']);
        if (how === 'done') chain = [...chain.filter((index) => index <= base), files.length - 1];
        streaming = undefined;
      });
    },
  };
  const qmp = {
    execute: (name: string, args: Record<string, string>) => Promise.resolve(commands[name]?.(args)),
    waitEvent: async () => {
      const earlier = begun.length;
      while (begun.length === earlier) await new Promise(setImmediate);
      await begun.at(-1)?.promise;
    },
  };
  const record = { disks: disks.slice(0, -1), overlay: disks.at(-1), overlayNode: NODE(files.length - 1) };
  const sandbox = {
    ...{ id: 'sb', paths, vm: { vmm: { qmp } }, spareOverlays: [] },
    ...{ removalBegun: new AbortController().signal, takes: () => true },
    record: { ...record, switchCount: 9 } as unknown as SandboxRecord,
    update(changes: Partial<SandboxRecord>) {
      this.record = { ...this.record, ...changes };
      return Promise.resolve();
    },
  };
  const events: string[] = [];
  const context = {
    store: { durableSpace: () => Promise.resolve({ freeBytes: 1 << 30, reservedBytes: 0 }) },
    emit: (name: string) => void events.push(name),
  } as unknown as HostContext;
  const until = async (count: number): Promise<void> => {
    while (streams.length < count) await new Promise(setImmediate);
  };
  const begin = () => beginFold(context, sandbox as unknown as Sandbox);
  const done = (): void => streaming?.resolve('done');
  return { begin, done, until, streams, events, sandbox, folder };
}

describe('a fold', () => {
  it('copies what is small beside what lies below it, and removes that', async (t) => {
    const { begin, done, until, streams, events, sandbox, folder } = await bench(
      t,
      [4096, 256, 128, 16, 16, 4],
    );
    const { over } = begin();
    await until(1);
    done();
    await over;
    assert.deepEqual(streams, [['overlay5', 'overlay2']]);
    assert.deepEqual(
      sandbox.record.disks.map(({ id }) => id),
      ['disk0', 'overlay1', 'overlay2'],
    );
    assert.equal((await readdir(folder)).length, 4);
    assert.deepEqual(events, []);
  });

  it('never copies the bottom, however small it is', async (t) => {
    const { begin, done, until, streams } = await bench(t, [4, 64, 64, 64]);
    const { over } = begin();
    await until(1);
    done();
    await over;
    assert.deepEqual(streams, [['overlay3', 'disk0']]);
  });

  it('waits after one that had to yield, and begins none when it has to yield then', async (t) => {
    const { begin, done, until, streams } = await bench(t, [4096, 16, 16, 4]);
    const first = begin();
    await until(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await first.cancel();
    const second = begin();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(streams.length, 1, 'it began at once');
    await second.cancel();
    assert.equal(streams.length, 1);
    const third = begin();
    await until(2);
    done();
    await third.over;
  });
});
