import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { FakeQmp, type FakeCommand } from '../../../test/support/fake-qmp.js';
import { QmpClient, QmpCommandError } from '../../qmp/index.js';
import { plugDisk } from './plug-disk.js';

const LAYERS = [
  { path: '/base', format: 'raw', readOnly: true },
  { path: '/overlay', format: 'qcow2', readOnly: false },
] as const;

async function connect(t: TestContext, add: FakeCommand): Promise<{ qmp: QmpClient; fake: FakeQmp }> {
  const folder = await mkdtemp(join(tmpdir(), 'bough-plug-'));
  const busy = (): never => {
    throw new Error('it is in use');
  };
  const fake = await FakeQmp.listen(join(folder, 'qmp'), {
    commands: { 'blockdev-add': add, 'qom-set': () => ({}), 'blockdev-del': busy },
  });
  const qmp = await QmpClient.connect(fake.socketPath);
  t.after(async () => {
    await qmp.close();
    await fake.close();
    await rm(folder, { recursive: true });
  });
  return { qmp, fake };
}

describe('plugDisk()', () => {
  it('rejects with what is refused first, and nobody misses what is refused after it', async (t) => {
    const { qmp, fake } = await connect(t, ({ filename }) => {
      if (filename === '/base') throw new Error('it is not there');
      return {};
    });
    await assert.rejects(
      plugDisk(qmp, LAYERS),
      (error) => error instanceof QmpCommandError && error.message.includes('it is not there'),
    );
    while (fake.received.length < 7) await new Promise(setImmediate);
    const asked = fake.received.map(({ execute, arguments: args }) => args?.['node-name'] ?? execute);
    assert.deepEqual(asked.slice(1), ['disk0-file', 'disk0', 'disk1-file', 'disk1', 'qom-set', 'empty']);
  });

  it('is given up with the start that it belongs to', async (t) => {
    const { qmp } = await connect(t, () => FakeQmp.SILENT);
    const caller = new AbortController();
    const plugging = assert.rejects(plugDisk(qmp, LAYERS, { signal: caller.signal }), /no more/);
    caller.abort(new Error('no more'));
    await plugging;
  });
});
