/** Programs of another user than the agent's, in the agent itself, run as a process of this host. */
import assert from 'node:assert/strict';
import { chmod, chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
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
    assert.deepEqual([exitCode, stderr], [126, 'bough: true: its user cannot enter its working directory\n']);
  });
});

describe('an image that says its user', { timeout: 60_000, skip }, () => {
  const path = (agent: RealAgent, name: string): Buffer => Buffer.from(join(agent.dir, name));

  it('has its programs run and its files worked on as that user, unless another is named', async (t) => {
    const agent = await startRealAgent(null, 'daemon');
    t.after(() => agent.close());
    const client = await claimed(agent);
    await chmod(agent.dir, 0o755);
    await mkdir(join(agent.dir, 'own'));
    await chown(join(agent.dir, 'own'), 1, 1);
    assert.equal((await client.exec({ args: ['id', '-u'] })).stdout, '1\n');
    const own = { path: path(agent, 'own/file'), bytes: 'x' };
    assert.equal((await client.files.write(own)).uid, 1);
    assert.equal((await client.files.write({ ...own, path: path(agent, 'file'), user: '0' })).uid, 0);
    for (const refused of [
      () => client.files.write({ ...own, path: path(agent, 'other') }),
      () => client.files.makeFolder({ path: path(agent, 'folder') }),
      () => client.files.remove({ path: path(agent, 'file') }),
    ])
      await assert.rejects(refused, { name: 'AgentRefused', code: 'denied' });
  });

  it('is told when that user is not in it, whatever is asked', async (t) => {
    const agent = await startRealAgent(null, 'no-such-user');
    t.after(() => agent.close());
    const client = await claimed(agent);
    const problem = /true: the image's user is unknown in it/;
    const { exitCode, stderr } = await client.exec({ args: ['true'] });
    assert.equal(exitCode, 126);
    assert.match(stderr, problem);
    await assert.rejects(client.startProcess({ args: ['true'] }), { code: 'not_started', message: problem });
    await assert.rejects(client.files.stat({ path: path(agent, '') }), { code: 'no_user' });
    assert.equal((await client.exec({ args: ['id', '-u'], user: '0' })).stdout, '0\n');
  });
});
