import assert from 'node:assert/strict';
import { access, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { MiB } from '../../base/index.js';
import type { HostContext } from '../host/context.js';
import { removeOtherLayers } from '../entity/own-layers.js';
import { sandboxPaths } from '../entity/paths.js';
import type { Line, SandboxRecord } from '../entity/record.js';
import type { Sandbox } from '../entity/sandbox.js';
import { breakLine, endLine, extendedLine, LINE_LIMIT, lineOn, replaceLine, shortenLine } from './line.js';

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
    ...{ id: 'sb', paths, isBranching: false },
    record: { layers: [], line } as unknown as SandboxRecord,
    update(changes: Partial<SandboxRecord>) {
      this.record = { ...this.record, ...changes };
      return Promise.resolve();
    },
  };
  return { dir, folder, sandbox: sandbox as unknown as Sandbox & { isBranching: boolean } };
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

describe('shortenLine()', () => {
  const storeOf = (folder: string, error?: Error) => ({
    async mergeLayers(layers: readonly { readonly id: string }[]) {
      if (error !== undefined) throw error;
      const path = join(folder, 'merged.bin');
      await writeFile(path, layers.map(({ id }) => id).join(' '));
      return layer('merged', path);
    },
  });

  it('puts one layer in the place of those it merges, and removes their links', async (t) => {
    const { folder, sandbox } = await lineOf(t, LINE_LIMIT);
    await shortenLine({ ...silent, store: storeOf(folder) } as unknown as HostContext, sandbox);
    assert.deepEqual(
      sandbox.record.line?.layers.map(({ id }) => id),
      ['merged'],
    );
    assert.equal(await readFile(join(folder, 'merged.bin'), 'utf8'), 'l0 l1 l2 l3 l4');
    assert.deepEqual(await readdir(folder), ['merged.bin']);
  });

  it('ends a line that cannot be merged', async (t) => {
    const { folder, sandbox } = await lineOf(t, LINE_LIMIT);
    const store = storeOf(folder, new Error('ENOSPC'));
    await shortenLine({ ...silent, store } as unknown as HostContext, sandbox);
    assert.equal(sandbox.record.line, undefined);
    assert.deepEqual(await readdir(folder), []);
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
