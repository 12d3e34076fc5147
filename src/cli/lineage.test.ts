import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CliDaemon } from '../../test/support/cli-daemon.js';

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
});
