import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CliDaemon } from '../../test/support/cli-daemon.js';
import type { Sandbox, Snapshot } from '../contract/index.js';
import { lineage, type LineageNode } from './lineage.js';

describe('bough tree', () => {
  let daemon: CliDaemon;
  before(async () => {
    daemon = await CliDaemon.open();
  });
  after(() => daemon.close());

  it('draws each below what it came from, and below the snapshot once its source is gone', async () => {
    const source = await daemon.spawn('--name', 'source');
    await daemon.printed('branch', source, '--tag', 'point');
    const [first, second] = (await daemon.printed('spawn', '--tag', 'point', '-n', '2')).trim().split('\n');
    const shape = async (): Promise<string[]> =>
      (await daemon.printed('tree'))
        .trimEnd()
        .split('\n')
        .map((line) => line.replace(/ \(.*/, ''));
    assert.deepEqual(await shape(), [
      'snapshot base',
      `└─ sandbox source ${source}`,
      '   └─ snapshot point',
      `      ├─ sandbox ${first}`,
      `      └─ sandbox ${second}`,
    ]);
    await daemon.printed('rm', source);
    assert.deepEqual(await shape(), [
      'snapshot base',
      'snapshot point',
      `├─ sandbox ${first}`,
      `└─ sandbox ${second}`,
    ]);
    const roots = JSON.parse(await daemon.printed('tree', '-o', 'json')) as { snapshot: { tag: string } }[];
    assert.deepEqual(
      roots.map(({ snapshot }) => snapshot.tag),
      ['base', 'point'],
    );
  });

  it('draws one that went back to a point of its own, or of a child, below what came before it', () => {
    const at = (id: string, snapshot_tag: string) => ({ id, snapshot_tag }) as Sandbox;
    const of = (tag: string, branched_from?: string, parent_tag?: string) =>
      ({ tag, branched_from, parent_tag }) as Snapshot;
    const shape = (nodes: readonly LineageNode[]): unknown[] =>
      nodes.map((node) => [
        'snapshot' in node ? node.snapshot.tag : node.sandbox.id,
        ...shape(node.children),
      ]);
    const own = lineage([of('base'), of('point', 'box', 'base')], [at('box', 'point')]);
    assert.deepEqual(shape(own), [['base', ['box', ['point']]]]);
    const snapshots = [of('base'), of('fork', 'box', 'base'), of('winner', 'child', 'fork')];
    const childs = lineage(snapshots, [at('box', 'winner'), at('child', 'fork')]);
    assert.deepEqual(shape(childs), [['base', ['box', ['fork', ['child', ['winner']]]]]]);
    const exchanged = lineage([of('a', 'A', 'gone'), of('b', 'B')], [at('A', 'b'), at('B', 'a')]);
    assert.deepEqual(shape(exchanged).length, 1, 'nothing is lost in a circle');
  });
});
