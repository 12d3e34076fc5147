import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FakeQmp } from '../../../test/support/fake-qmp.js';
import { sleep } from '../../base/index.js';
import { QmpClient } from '../../qmp/index.js';
import { listenForDeviceState, loadDeviceState } from './incoming.js';

describe('loadDeviceState()', () => {
  it('outlives a QEMU that ends with the state half read, after everything was sent', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'bough-incoming-'));
    const incomingPath = join(folder, 'incoming');
    const statePath = join(folder, 'vmstate.bin');
    await writeFile(statePath, Buffer.alloc(10_000, 1));
    const unread: Socket[] = [];
    const incoming = createServer({ pauseOnConnect: true }, (socket) => void unread.push(socket));
    incoming.listen(incomingPath);
    await once(incoming, 'listening');
    const fake = await FakeQmp.listen(join(folder, 'qmp'), {
      commands: {
        'migrate-set-capabilities': () => ({}),
        'migrate-incoming': (_args, server) => {
          void once(incoming, 'connection')
            .then(() => sleep(50))
            .then(() => server.emitEvent('MIGRATION', { status: 'completed' }));
          return {};
        },
      },
    });
    t.after(async () => {
      await fake.close();
      incoming.close();
      await rm(folder, { recursive: true });
    });
    const qmp = await QmpClient.connect(fake.socketPath);
    await listenForDeviceState(qmp, incomingPath);
    await loadDeviceState(qmp, incomingPath, statePath);
    assert.equal(unread.length, 1);
    // The connection is reset. Were nobody to listen, that would end this process.
    for (const socket of unread) socket.destroy();
    await sleep(50);
    await qmp.close();
  });
});
