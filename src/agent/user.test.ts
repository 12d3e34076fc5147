/** Programs of another user than the agent's, in the agent itself, run as a process of this host. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { claimed, startRealAgent, type RealAgent } from '../../test/support/real-agent.js';
import { AgentClient } from './client.js';
import { AgentRefused } from './errors.js';

const skip = process.getuid?.() === 0 ? false : 'only root may run programs of another user';

describe('a program of another user', { timeout: 60_000, skip }, () => {
  let agent: RealAgent;
  let client: AgentClient;

  before(async () => {
    agent = await startRealAgent();
    client = await claimed(agent);
  });
  after(() => agent.close());

  const run = async (user: string, script: string): Promise<string> => {
    const { stdout, stderr } = await client.exec({ args: ['sh', '-c', script], user, timeoutMs: 10_000 });
    return stdout + stderr;
  };

  it('has its ids, its groups and no capabilities', async () => {
    const ids = 'id -u; id -g; id -G; grep CapEff /proc/self/status';
    const none = 'CapEff:\t0000000000000000\n';
    assert.equal(await run('daemon', ids), `1\n1\n1\n${none}`);
    assert.equal(await run('1', ids), `1\n1\n1\n${none}`);
    assert.equal(await run('daemon:bin', ids), `1\n2\n2\n${none}`);
    assert.equal(await run('4242:4343', ids), `4242\n4343\n4343\n${none}`);
    assert.equal(await run('4242', 'id -u; id -g'), '4242\n0\n');
    assert.match(await run('root', 'id -u'), /^0\n$/);
  });

  it('has its environment and begins in its home, and may open its streams by name', async () => {
    assert.equal(
      await run('daemon', 'echo $USER $LOGNAME $HOME; pwd'),
      'daemon daemon /usr/sbin\n/usr/sbin\n',
    );
    assert.equal(await run('4242', 'echo $USER $HOME $SHELL; pwd'), '4242 / /bin/sh\n/\n');
    assert.equal(await run('daemon', 'echo out > /proc/self/fd/1; echo err > /proc/self/fd/2'), 'out\nerr\n');
    const env = { HOME: '/tmp', USER: 'x' };
    const asked = { args: ['sh', '-c', 'echo $USER; pwd'], user: 'daemon', env, cwd: '/etc' };
    assert.equal((await client.exec(asked)).stdout, 'x\n/etc\n');
    const started = await client.startProcess({
      args: ['sh', '-c', 'tty; echo x > $(tty); id -u'],
      user: 'daemon',
      pty: { cols: 80, rows: 24 },
    });
    let printed = '';
    for await (const event of client.output(started.pid, { follow: true }))
      if (event.type === 'pty') printed += event.bytes.toString();
    assert.match(printed, /^\/dev\/pts\/\d+\r\nx\r\n1\r\n$/);
  });

  it('is refused where the image has no such user, and where it may not begin', async () => {
    const refused = (user: string, problem: RegExp) =>
      assert.rejects(client.exec({ args: ['true'], user }), (error: unknown) => {
        assert.ok(error instanceof AgentRefused && error.code === 'bad_request');
        return problem.test(error.problem);
      });
    await refused('no-such-user', /^user: the image has no user "no-such-user"$/);
    await refused('daemon:no-such-group', /^user: the image has no group "no-such-group"$/);
    for (const wrong of ['', ':', 'daemon:', ':1']) await refused(wrong, /^user must be/);
    for (const wrong of ['4294967295', '99999999999', '-1', '0x1', '1 '])
      await refused(wrong, /^user: the image has no user/);
    const { exitCode, stderr } = await client.exec({ args: ['true'], user: 'daemon', cwd: agent.dir });
    assert.deepEqual([exitCode, stderr], [126, 'bough: true: Permission denied\n']);
  });
});
