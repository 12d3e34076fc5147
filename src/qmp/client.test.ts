import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { FakeQmp, GREETING, type FakeQmpScript } from '../../test/support/fake-qmp.js';
import { describeQmpClient } from '../../test/support/qmp-suite.js';
import { QmpClient, QmpCommandError, QmpDisconnected, QmpProtocolError, QmpTimeout } from './index.js';

let dir = '';
let socketCount = 0;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bough-qmp-'));
});
after(() => rm(dir, { recursive: true }));

const stoppedMachine: FakeQmpScript = {
  commands: {
    'query-status': () => ({ status: 'prelaunch', running: false }),
    'query-name': () => ({ name: 'suite' }),
    'query-migrate': () => ({}),
    cont: (_args, server) => {
      server.emitEvent('RESUME');
      return {};
    },
    silent: () => FakeQmp.SILENT,
  },
};

function listen(script: FakeQmpScript = stoppedMachine): Promise<FakeQmp> {
  return FakeQmp.listen(join(dir, `${++socketCount}.sock`), script);
}

async function withConnected(body: (client: QmpClient, server: FakeQmp) => Promise<void>): Promise<void> {
  const server = await listen();
  try {
    const client = await QmpClient.connect(server.socketPath);
    await body(client, server);
    await client.close();
  } finally {
    await server.close();
  }
}

function endedBy(message: RegExp) {
  return (error: unknown): boolean => {
    assert(error instanceof QmpDisconnected);
    assert.match(error.message, message);
    return true;
  };
}

describeQmpClient('the fake server', () => listen());

describe('QmpClient', () => {
  it('connect() tells why there is no server', async () => {
    await assert.rejects(QmpClient.connect(join(dir, 'absent')), (error: unknown) => {
      assert(error instanceof QmpDisconnected);
      assert.equal((error.cause as NodeJS.ErrnoException).code, 'ENOENT');
      return true;
    });
  });

  it('connect() gives up on a server that never greets', async () => {
    const server = await listen({ greeting: GREETING.slice(0, 20) });
    await assert.rejects(QmpClient.connect(server.socketPath, { timeoutMs: 30 }), QmpTimeout);
    await server.close();
  });

  it('connect() ends with the reason of its signal', async () => {
    const server = await listen({ greeting: '' });
    const controller = new AbortController();
    const connecting = QmpClient.connect(server.socketPath, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await assert.rejects(connecting, /enough/);
    await server.close();
  });

  it('execute() times out alone, and a late reply disturbs nobody', () =>
    withConnected(async (client, server) => {
      await assert.rejects(client.execute('silent', {}, { timeoutMs: 20 }), QmpTimeout);
      const id = server.received.find((request) => request.execute === 'silent')?.id ?? 0;
      server.send(`{"return": {}, "id": ${id}}\n`);
      assert.equal((await client.execute('query-status')).status, 'prelaunch');
      assert.match(client.qemuVersion, /^\d+\.\d+\.\d+$/);
    }));

  it('understands messages in pieces and several in one piece, with unsolicited events between', () =>
    withConnected(async (client, server) => {
      const second = client.waitEvent('TICK', (event) => event.data['n'] === 2);
      const third = client.waitEvent('TICK', (event) => event.data['n'] === 3);
      server.send('{"event": "TICK", "data": {"n": 1}}\r\n{"event": "TI');
      await client.execute('silent', {}, { timeoutMs: 5 }).catch(() => undefined);
      server.send('CK", "data": {"n": 2}}\n{"event": "TICK", "data": {"n": 3}}\n');
      assert.equal((await second).data['n'], 2);
      assert.equal((await third).data['n'], 3);
    }));

  const nonsense: [name: string, raw: string | Buffer, message: RegExp][] = [
    ['a line that is not JSON', 'hello\n', /Not JSON: "hello"/],
    ['JSON that is not an object', '[1]\n', /Not an object/],
    ['an object that is not QMP', '{"id": "x", "return": {}}\n', /Not a QMP message/],
    ['a second greeting', `${GREETING}\n`, /Second greeting/],
    ['a reply to an id never used', '{"return": {}, "id": 999}\n', /never sent: id 999/],
    ['a line of 2 MiB', Buffer.alloc(2 * 1024 * 1024, 'x'), /longer than 1048576 bytes/],
  ];
  for (const [name, raw, message] of nonsense) {
    it(`is closed by ${name}, and says so to pending calls`, () =>
      withConnected(async (client, server) => {
        const pending = assert.rejects(client.execute('silent'), endedBy(message));
        const waiting = assert.rejects(client.waitEvent('NEVER'), endedBy(message));
        server.send(raw);
        await Promise.all([pending, waiting]);
        assert(client.closed);
      }));
  }

  it('is closed by anything before the greeting', async () => {
    const server = await listen({ greeting: '{"event": "EARLY"}\n' });
    await assert.rejects(QmpClient.connect(server.socketPath), (error: unknown) => {
      assert(error instanceof QmpDisconnected && error.cause instanceof QmpProtocolError);
      return true;
    });
    await server.close();
  });

  it('close() fails pending calls and is idempotent', () =>
    withConnected(async (client) => {
      const pending = assert.rejects(client.execute('silent'), endedBy(/was closed/));
      await Promise.all([client.close(), client.close()]);
      await pending;
    }));

  it('survives seeded random damage to a valid conversation without an unhandled error', async () => {
    const conversation = Buffer.from(
      `${GREETING}\n{"event":"A","data":{}}\n{"return":{},"id":1}\n{"return":2,"id":2}\n`,
    );
    let seed = 0x5eed;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    for (let round = 0; round < 150; round++) {
      const damaged = Buffer.from(conversation);
      for (let flips = random(4); flips >= 0; flips--) damaged[random(damaged.length)] = random(256);
      const server = await listen({ greeting: damaged.toString('latin1') });
      try {
        const client = await QmpClient.connect(server.socketPath, { timeoutMs: 10 });
        await client.execute('query-status', undefined, { timeoutMs: 10 }).catch(() => undefined);
        await client.close();
      } catch (error) {
        const expected = [QmpDisconnected, QmpTimeout, QmpCommandError];
        assert(expected.some((type) => error instanceof type));
      } finally {
        await server.close();
      }
    }
  });
});
