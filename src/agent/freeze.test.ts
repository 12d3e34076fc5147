/** Programs of a guest that are held, as the agent says it and as it does. What holds them in a guest: test/vm/freeze.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { monotonicMs, sleep } from '../base/index.js';
import { FakeAgent, type FakeAgentConnection } from '../../test/support/fake-agent.js';
import { claimed, startRealAgent } from '../../test/support/real-agent.js';
import { AgentClient } from './client.js';
import { AgentProtocolError, AgentRefused } from './errors.js';
import { FrameKind } from './frames.js';

const refused = (code: string) => (error: unknown) => error instanceof AgentRefused && error.code === code;
const notFrozen = refused('not_frozen');

async function withAgent(
  answer: (connection: FakeAgentConnection) => void,
  work: (client: AgentClient, fake: FakeAgent) => Promise<void>,
): Promise<void> {
  const fake = await FakeAgent.listen((_request, connection) => answer(connection));
  try {
    await work(new AgentClient({ host: '127.0.0.1', port: fake.port, secret: 'any' }), fake);
  } finally {
    await fake.close();
  }
}

const freezes = (connection: FakeAgentConnection): void =>
  connection.send(FrameKind.event, '{"frozen":true}');

describe('the programs of a guest', { timeout: 60_000 }, () => {
  it('are held by a connection, until it is closed', () =>
    withAgent(freezes, async (client, fake) => {
      const connectionCount = (): number => fake.connectionCount;
      const held = await client.freeze();
      held.requireHeld(monotonicMs());
      assert.equal(connectionCount(), 1);
      await Promise.all([held.release(), held.release()]);
      while (connectionCount() > 0) await sleep(10);
    }));

  it('are held once file systems are written, where that is asked for', () =>
    withAgent(freezes, async (client, fake) => {
      for (const options of [{ sync: true }, {}]) await (await client.freeze(options)).release();
      assert.deepEqual(
        fake.received.map(({ sync }) => sync),
        [true, undefined],
      );
    }));

  it('are not held where a copy may have them go on before it is identified', () =>
    withAgent(freezes, async (client) => {
      const held = await client.freeze();
      assert.throws(() => held.requireHeld(monotonicMs() + 26_000), notFrozen);
      await held.release();
    }));

  it('are not held any more once the agent says so', () =>
    withAgent(
      (connection) => {
        freezes(connection);
        connection.end({ error: { code: 'deadline', message: 'they go on' } });
      },
      async (client) => {
        const held = await client.freeze();
        await sleep(200);
        assert.throws(() => held.requireHeld(monotonicMs()), notFrozen);
        await held.release();
      },
    ));

  it('are refused to be held by an agent that cannot, and by none that says anything else', async () => {
    const agent = await startRealAgent();
    const client = await claimed(agent);
    await assert.rejects(client.freeze(), refused('no_freezer'));
    assert.equal((await client.ping()).pong, true);
    await agent.close();
    await withAgent(
      (connection) => connection.end({}),
      (other) => assert.rejects(other.freeze(), AgentProtocolError),
    );
  });
});
