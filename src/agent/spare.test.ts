import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FakeAgent, type FakeAgentConnection } from '../../test/support/fake-agent.js';
import { AgentClient } from './client.js';

const IDENTITY = { newSecret: 'new', seed: Buffer.alloc(32), unixTimeNs: 1n };
const PONG = { pong: true, interpreter: 'ready', uptime_secs: 1.5 };

/** A guest that answers every call; who came over which connection. */
async function guestOf(t: TestContext) {
  const used: FakeAgentConnection[] = [];
  const agent = await FakeAgent.listen((_request, connection) => {
    used.push(connection);
    connection.end(PONG);
  });
  t.after(() => agent.close());
  const client = new AgentClient(
    { host: '127.0.0.1', port: agent.port, secret: 'secret' },
    { connectsAhead: true },
  );
  return { agent, client, used };
}

async function until(condition: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 2000 && !condition(); attempt++) await delay(5);
  assert(condition());
}

/** The connection that stands by, as the guest has it. */
async function aheadAt(agent: FakeAgent): Promise<Socket> {
  await until(() => agent.waiting.length === 1);
  const [ahead] = agent.waiting;
  assert(ahead);
  return ahead;
}

describe('a connection made ahead', () => {
  it('stands by after a call was answered, and the next call goes over it', async (t) => {
    const { agent, client, used } = await guestOf(t);
    await client.ping();
    const ahead = await aheadAt(agent);
    await client.ping();
    assert.equal(used[1]?.socket, ahead);
    assert.notEqual(await aheadAt(agent), ahead);
  });

  it('is one, however many calls were under way', async (t) => {
    const { agent, client } = await guestOf(t);
    await Promise.all(Array.from({ length: 20 }, () => client.ping()));
    await until(() => agent.connectionCount === 1);
    await delay(50);
    assert.equal(agent.connectionCount, 1);
  });

  it('is not used when the guest has closed it', async (t) => {
    const { agent, client } = await guestOf(t);
    await client.ping();
    (await aheadAt(agent)).end();
    await until(() => agent.connectionCount === 0);
    assert.equal((await client.ping()).pong, true);
  });

  it('is dropped when the guest says something unasked', async (t) => {
    const { agent, client } = await guestOf(t);
    await client.ping();
    (await aheadAt(agent)).write('unasked');
    await until(() => agent.connectionCount === 0);
    assert.equal((await client.ping()).pong, true);
  });

  it('is hung up once when the guest floods it', async (t) => {
    const { agent, client } = await guestOf(t);
    await client.ping();
    const ahead = await aheadAt(agent);
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => void warnings.push(warning);
    process.on('warning', onWarning);
    t.after(() => process.off('warning', onWarning));
    for (let piece = 0; piece < 50 && !ahead.destroyed; piece++) {
      ahead.write(Buffer.alloc(1000));
      await delay(2);
    }
    await until(() => ahead.destroyed || ahead.readableEnded);
    assert.deepEqual(warnings, []);
  });

  it('is made by no client that was not told to', async (t) => {
    const { agent } = await guestOf(t);
    const client = new AgentClient({ host: '127.0.0.1', port: agent.port, secret: 'secret' });
    await client.ping();
    await until(() => agent.connectionCount === 0);
    await delay(50);
    assert.equal(agent.connectionCount, 0);
  });

  it('is given up before identify, which closes it in the guest', async (t) => {
    const { agent, client, used } = await guestOf(t);
    await client.ping();
    const ahead = await aheadAt(agent);
    await assert.rejects(client.identify(IDENTITY), /answer to identify/);
    assert.notEqual(used[1]?.socket, ahead);
  });

  it('keeps no process running', { timeout: 60_000 }, async (t) => {
    const { agent } = await guestOf(t);
    const program = `import { AgentClient } from ${JSON.stringify(new URL('client.js', import.meta.url).href)};
      const client = new AgentClient({ host: '127.0.0.1', port: ${agent.port}, secret: 'secret' }, { connectsAhead: true });
      await client.ping();
      await new Promise((resolve) => setTimeout(resolve, 100));
      process.exitCode = process.getActiveResourcesInfo().includes('TCPSocketWrap') ? 1 : 0;`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' });
    t.after(() => child.kill('SIGKILL'));
    await aheadAt(agent);
    await once(child, 'exit');
    assert.equal(child.exitCode, 0);
  });
});
