/**
 * What QmpClient must do with any QMP server, fake or real, that starts stopped and has no migration to
 * query.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { QmpClient, QmpCommandError, QmpDisconnected } from '../../src/qmp/index.js';

export interface QmpServerUnderTest {
  socketPath: string;
  close(): Promise<void>;
}

export function describeQmpClient(name: string, start: () => Promise<QmpServerUnderTest>): void {
  describe(`QmpClient with ${name}`, () => {
    it('execute() answers concurrent calls each with its own result', async () => {
      const server = await start();
      const client = await QmpClient.connect(server.socketPath);
      try {
        const [status, vm, migration] = await Promise.all([
          client.execute('query-status'),
          client.execute('query-name'),
          client.execute('query-migrate'),
        ]);
        assert.deepEqual([status.running, status.status], [false, 'prelaunch']);
        assert.equal(vm.name, 'suite');
        assert.deepEqual(migration, {});
      } finally {
        await client.close();
        await server.close();
      }
    });

    it('execute() rejects with class and description when the command is refused, and stays usable', async () => {
      const server = await start();
      const client = await QmpClient.connect(server.socketPath);
      try {
        await assert.rejects(client.execute('no-such-command'), (error: unknown) => {
          assert(error instanceof QmpCommandError);
          assert.equal(error.class, 'CommandNotFound');
          assert.equal(error.command, 'no-such-command');
          return true;
        });
        assert.equal((await client.execute('query-status')).running, false);
      } finally {
        await client.close();
        await server.close();
      }
    });

    it('waitEvent() sees the events that a command causes', async () => {
      const server = await start();
      const client = await QmpClient.connect(server.socketPath);
      try {
        const resumed = client.waitEvent('RESUME');
        await client.execute('cont');
        assert.equal((await resumed).event, 'RESUME');
      } finally {
        await client.close();
        await server.close();
      }
    });

    it('fails what waits when the server goes away', async () => {
      const server = await start();
      const client = await QmpClient.connect(server.socketPath);
      const waiting = assert.rejects(client.waitEvent('NEVER'), QmpDisconnected);
      await server.close();
      await waiting;
      await assert.rejects(client.execute('query-status'), QmpDisconnected);
      await client.close();
    });
  });
}
