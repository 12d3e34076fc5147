import assert from 'node:assert/strict';
import { access, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Deferred, MiB, WorkSet } from '../../base/index.js';
import type { HostContext } from '../host/context.js';
import { removeOtherLayers } from '../entity/own-layers.js';
import { sandboxPaths } from '../entity/paths.js';
import type { Line, SandboxRecord } from '../entity/record.js';
import type { SandboxRequest } from '../entity/lifecycle.js';
import type { Sandbox } from '../entity/sandbox.js';
import {
  breakLine,
  endLine,
  extendedLine,
  LINE_HARD_LIMIT,
  LINE_LIMIT,
  lineOn,
  makeRoomInLine,
  mergeIfLong,
  replaceLine,
} from './line.js';

/** What a test changes of a sandbox. */
type Settable<T> = { -readonly [K in keyof T & ('isBranching' | 'branchOver' | 'takes')]: T[K] };

const layer = (id: string, path: string, bytes = 4096): Line['layers'][number] => ({
  ...{ id, path, logicalBytes: 1 << 20 },
  runs: [[0, bytes]],
});

/** A sandbox with files for as many own layers, and what it logs. */
async function lineOf(t: TestContext, count: number) {
  const dir = await mkdtemp(join(tmpdir(), 'bough-line-'));
  t.after(() => rm(dir, { recursive: true }));
  const paths = sandboxPaths({ hotDir: dir, stateDir: dir }, 'sb');
  const folder = join(paths.hotDir, 'layers');
  await mkdir(folder, { recursive: true });
  const layers = Array.from({ length: count }, (_, index) =>
    layer(`l${index}`, join(folder, `l${index}.bin`)),
  );
  for (const { path } of layers) await writeFile(path, '');
  const line: Line | undefined = count > 0 ? { since: 'latest', below: 1, layers } : undefined;
  const sandbox = {
    vm: {},
    ...{ id: 'sb', paths, isBranching: false, branchOver: Promise.resolve(undefined) },
    ...{ merges: new WorkSet(), takes: (request: SandboxRequest): boolean => request !== 'adopt' },
    record: { layers: [], line } as unknown as SandboxRecord,
    update(changes: Partial<SandboxRecord>) {
      this.record = { ...this.record, ...changes };
      return Promise.resolve();
    },
  };
  return { dir, folder, sandbox: sandbox as unknown as Sandbox & Settable<typeof sandbox> };
}

const silent = { emit: () => undefined } as unknown as HostContext;
const below = (count: number) => ({
  layers: Array.from({ length: count }, (_, index) => layer(`b${index}`, '/b')),
  copiedBytes: 0,
});

describe('lineOn()', () => {
  it('is a line on as many layers as the branch stands on', async (t) => {
    const { sandbox } = await lineOf(t, 1);
    assert.equal(lineOn(sandbox.record, below(1))?.since, 'latest');
    assert.equal(lineOn(sandbox.record, below(2)), undefined);
  });
});

describe('extendedLine()', () => {
  const captured = (dir: string, facts: { readonly passes?: number; readonly wentOn?: boolean } = {}) => ({
    draft: { id: 'next', memoryPath: join(dir, 'memory.bin') },
    pause: { passes: facts.passes ?? 2 },
    capture: { runs: [[4096, 4096]] as const, wentOn: facts.wentOn ?? true },
    ...{ below: below(1), logicalBytes: MiB },
  });

  it('adds the layer to those that the branch went on from, as a link', async (t) => {
    const { dir, folder, sandbox } = await lineOf(t, 2);
    await writeFile(join(dir, 'memory.bin'), 'pages');
    const line = await extendedLine(silent, sandbox, captured(dir));
    assert.deepEqual(
      line?.layers.map(({ id }) => id),
      ['l0', 'l1', 'next'],
    );
    assert.deepEqual([line.since, line.below], ['next', 1]);
    await rm(join(dir, 'memory.bin'));
    assert.equal(await readFile(join(folder, 'next.bin'), 'utf8'), 'pages');
  });

  it('begins anew after a capture of everything', async (t) => {
    const { dir, sandbox } = await lineOf(t, 2);
    await writeFile(join(dir, 'memory.bin'), 'pages');
    const line = await extendedLine(silent, sandbox, captured(dir, { wentOn: false }));
    assert.deepEqual(
      line?.layers.map(({ id }) => id),
      ['next'],
    );
  });

  it('is none where nothing is tracked, or no link can be made', async (t) => {
    const { dir, sandbox } = await lineOf(t, 2);
    const events: string[] = [];
    const context = { emit: (event: string) => void events.push(event) } as unknown as HostContext;
    assert.equal(await extendedLine(context, sandbox, captured(dir)), undefined);
    assert.deepEqual(events, ['sandbox.line-ended']);
    await writeFile(join(dir, 'memory.bin'), 'pages');
    assert.equal(await extendedLine(context, sandbox, captured(dir, { passes: 0 })), undefined);
    assert.equal(events.length, 1);
  });
});

/** A sandbox with a line of as many layers, merged by a store whose files are written when the test says so. */
async function mergedLineOf(t: TestContext, count: number) {
  const { folder, sandbox } = await lineOf(t, count);
  const events: string[] = [];
  const writes: Deferred<undefined>[] = [];
  const awaited: (() => boolean)[] = [];
  let made = 0;
  const store = {
    async mergeLayers(layers: readonly { readonly id: string }[], _folder: string, isAwaited: () => boolean) {
      awaited.push(isAwaited);
      const write = new Deferred<undefined>();
      writes.push(write);
      await write.promise;
      const id = `merged${(made += 1)}`;
      const path = join(folder, `${id}.bin`);
      await writeFile(path, layers.map((each) => each.id).join(' '));
      return layer(id, path);
    },
  };
  const context = { store, emit: (event: string) => void events.push(event) } as unknown as HostContext;
  const line = (): Line => {
    assert(sandbox.record.line);
    return sandbox.record.line;
  };
  const ids = (): readonly string[] | undefined => sandbox.record.line?.layers.map(({ id }) => id);
  /** As a branch does at its end. */
  const grow = async (id: string): Promise<void> => {
    const path = join(folder, `${id}.bin`);
    await writeFile(path, '');
    await replaceLine(sandbox, { ...line(), since: id, layers: [...line().layers, layer(id, path)] });
  };
  const ofMerge = (merge: number) => ({
    written: () => writes[merge]?.resolve(undefined),
    failed: () => writes[merge]?.reject(new Error('EIO')),
  });
  return { folder, sandbox, context, events, writes, awaited, ids, line, grow, ofMerge };
}

/** Waits for work in the background, for a number of turns. */
async function grown(count: () => number | Promise<number>, wanted: number): Promise<void> {
  for (let turn = 0; turn < 10_000 && (await count()) < wanted; turn++) await setImmediate();
  assert.equal(await count(), wanted);
}

describe('mergeIfLong()', () => {
  it('puts one layer in the place of those it merges, and removes their links', async (t) => {
    const { folder, sandbox, context, ids, ofMerge } = await mergedLineOf(t, LINE_LIMIT);
    mergeIfLong(context, sandbox);
    ofMerge(0).written();
    await sandbox.merges.settled();
    assert.deepEqual(ids(), ['merged1']);
    assert.equal(await readFile(join(folder, 'merged1.bin'), 'utf8'), 'l0 l1 l2 l3 l4');
    assert.deepEqual(await readdir(folder), ['merged1.bin']);
  });

  it('is awaited where a branch will be soon, where its line has ended and where its sandbox goes', async (t) => {
    const { sandbox, context, awaited, line, grow, ofMerge } = await mergedLineOf(t, LINE_LIMIT);
    mergeIfLong(context, sandbox);
    const isAwaited = (): boolean | undefined => awaited[0]?.();
    assert.equal(isAwaited(), false);
    const short = line();
    for (const id of ['l5', 'l6']) await grow(id);
    assert.equal(isAwaited(), true);
    await replaceLine(sandbox, short);
    assert.equal(isAwaited(), false);
    sandbox.takes = (request) => request !== 'merge';
    assert.equal(isAwaited(), true);
    sandbox.takes = () => true;
    await endLine(sandbox);
    assert.equal(isAwaited(), true);
    ofMerge(0).written();
    await sandbox.merges.settled();
  });

  it('leaves a short line as it is', async (t) => {
    const { sandbox, context, writes } = await mergedLineOf(t, LINE_LIMIT - 1);
    mergeIfLong(context, sandbox);
    await sandbox.merges.settled();
    assert.equal(writes.length, 0);
  });

  it('leaves above it what branches have added meanwhile, and below it what it did not merge', async (t) => {
    const { folder, sandbox, context, line, ids, grow, ofMerge } = await mergedLineOf(t, LINE_LIMIT - 1);
    const [bottom, ...others] = line().layers;
    assert(bottom);
    const large = { ...bottom, runs: [[0, MiB] as [number, number]] };
    await replaceLine(sandbox, { ...line(), layers: [large, ...others] });
    await grow('l4');
    mergeIfLong(context, sandbox);
    await grow('l5');
    await grow('l6');
    ofMerge(0).written();
    await sandbox.merges.settled();
    assert.deepEqual(ids(), ['l0', 'merged1', 'l5', 'l6']);
    assert.equal(line().since, 'l6');
    assert.equal(await readFile(join(folder, 'merged1.bin'), 'utf8'), 'l1 l2 l3 l4');
    assert.deepEqual((await readdir(folder)).sort(), ['l0.bin', 'l5.bin', 'l6.bin', 'merged1.bin']);
  });

  it('goes on until the line is short, one merge at a time', async (t) => {
    const { sandbox, context, ids, grow, writes, ofMerge } = await mergedLineOf(t, LINE_LIMIT);
    mergeIfLong(context, sandbox);
    for (let index = LINE_LIMIT; index < 2 * LINE_LIMIT - 1; index++) {
      await grow(`l${index}`);
      mergeIfLong(context, sandbox);
    }
    assert.equal(writes.length, 1);
    ofMerge(0).written();
    await grown(() => writes.length, 2);
    ofMerge(1).written();
    await sandbox.merges.settled();
    assert.deepEqual(ids(), ['merged2']);
  });

  it('changes nothing under a branch, and then at once', async (t) => {
    const { folder, sandbox, context, ids, ofMerge } = await mergedLineOf(t, LINE_LIMIT);
    const branch = new Deferred<undefined>();
    Object.assign(sandbox, { isBranching: true, branchOver: branch.promise });
    mergeIfLong(context, sandbox);
    ofMerge(0).written();
    await grown(async () => (await readdir(folder)).length, LINE_LIMIT + 1);
    for (let turn = 0; turn < 10; turn++) await setImmediate();
    assert.equal(ids()?.length, LINE_LIMIT);
    assert.equal((await readdir(folder)).length, LINE_LIMIT + 1);
    sandbox.isBranching = false;
    branch.resolve(undefined);
    await sandbox.merges.settled();
    assert.deepEqual(ids(), ['merged1']);
  });

  for (const outcome of ['written', 'failed'] as const) {
    it(`leaves a line alone that another has taken the place of, once the merge has ${outcome}`, async (t) => {
      const { folder, sandbox, context, events, ids, ofMerge } = await mergedLineOf(t, LINE_LIMIT);
      mergeIfLong(context, sandbox);
      const path = join(folder, 'anew.bin');
      await writeFile(path, '');
      await replaceLine(sandbox, { since: 'anew', below: 1, layers: [layer('anew', path)] });
      ofMerge(0)[outcome]();
      await sandbox.merges.settled();
      assert.deepEqual(ids(), ['anew']);
      assert.deepEqual(await readdir(folder), ['anew.bin']);
      assert.deepEqual(events, []);
    });

    it(`leaves a line ended that ended before the merge has ${outcome}`, async (t) => {
      const { folder, sandbox, context, events, ids, ofMerge } = await mergedLineOf(t, LINE_LIMIT);
      mergeIfLong(context, sandbox);
      await endLine(sandbox);
      ofMerge(0)[outcome]();
      await sandbox.merges.settled();
      assert.equal(ids(), undefined);
      assert.deepEqual(await readdir(folder), []);
      assert.deepEqual(events, []);
    });
  }

  it('ends a line that cannot be merged, with what was added meanwhile, but not under a branch', async (t) => {
    const { folder, sandbox, context, events, ids, grow, ofMerge } = await mergedLineOf(t, LINE_LIMIT);
    const branch = new Deferred<undefined>();
    mergeIfLong(context, sandbox);
    await grow('l5');
    Object.assign(sandbox, { isBranching: true, branchOver: branch.promise });
    ofMerge(0).failed();
    for (let turn = 0; turn < 10; turn++) await setImmediate();
    assert.equal(ids()?.length, LINE_LIMIT + 1);
    sandbox.isBranching = false;
    branch.resolve(undefined);
    await sandbox.merges.settled();
    assert.equal(ids(), undefined);
    assert.deepEqual(await readdir(folder), []);
    assert.deepEqual(events, ['sandbox.line-ended']);
  });

  it('leaves to the next daemon what it finds when it has merged: the line as noted, and no file', async (t) => {
    const { folder, sandbox, context, ids, ofMerge } = await mergedLineOf(t, LINE_LIMIT);
    mergeIfLong(context, sandbox);
    sandbox.takes = (request) => request !== 'merge';
    ofMerge(0).written();
    await sandbox.merges.settled();
    assert.equal(ids()?.length, LINE_LIMIT);
    assert.equal((await readdir(folder)).length, LINE_LIMIT);
  });
});

describe('makeRoomInLine()', () => {
  it('waits for nothing while the line is not twice as long', async (t) => {
    const { sandbox, context } = await mergedLineOf(t, LINE_HARD_LIMIT - 1);
    mergeIfLong(context, sandbox);
    await makeRoomInLine(context, sandbox);
    assert.equal(sandbox.merges.size, 1);
  });

  it('waits then for the merge under way, or begins one', async (t) => {
    const { sandbox, context, ids, writes, ofMerge } = await mergedLineOf(t, LINE_HARD_LIMIT);
    let isOver = false;
    const room = makeRoomInLine(context, sandbox).then(() => (isOver = true));
    for (let turn = 0; turn < 10; turn++) await setImmediate();
    assert.deepEqual([isOver, writes.length], [false, 1]);
    ofMerge(0).written();
    await room;
    assert.deepEqual(ids(), ['merged1']);
  });

  it('leaves it to the claim to refuse a sandbox that is branched', async (t) => {
    const { sandbox, context, writes } = await mergedLineOf(t, LINE_HARD_LIMIT);
    sandbox.takes = (request) => request !== 'branch';
    await makeRoomInLine(context, sandbox);
    assert.equal(writes.length, 0);
  });
});

describe('breakLine()', () => {
  it('removes what nobody goes on from after a branch that failed, and the link to that one’s layer', async (t) => {
    const { folder, sandbox } = await lineOf(t, 2);
    await writeFile(join(folder, 'next.bin'), 'pages');
    await breakLine(sandbox, { id: 'next' });
    assert.equal(sandbox.record.line, undefined);
    assert.deepEqual(await readdir(folder), []);
  });
});

describe('endLine()', () => {
  it('removes the links, but not under a branch', async (t) => {
    const { folder, sandbox } = await lineOf(t, 2);
    sandbox.isBranching = true;
    await endLine(sandbox);
    assert.equal((await readdir(folder)).length, 2);
    sandbox.isBranching = false;
    await endLine(sandbox);
    assert.equal(sandbox.record.line, undefined);
    assert.deepEqual(await readdir(folder), []);
  });
});

describe('removeOtherLayers()', () => {
  it('leaves what the record names', async (t) => {
    const { folder, sandbox } = await lineOf(t, 1);
    const mapped = join(folder, 'mapped.bin');
    for (const path of [mapped, join(folder, 'left.bin')]) await writeFile(path, '');
    await sandbox.update({ layers: [layer('mapped', mapped)] });
    await removeOtherLayers(sandbox.paths, sandbox.record);
    assert.deepEqual((await readdir(folder)).sort(), ['l0.bin', 'mapped.bin']);
    await replaceLine(sandbox, undefined);
    await access(mapped);
  });
});
