/** The warm Node.js interpreter, driven by the guest agent itself as a process of this host. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { NODE, startRealAgent, type RealAgent } from '../../test/support/real-agent.js';
import { AgentClient } from './client.js';

const SECRET = 'secret-of-this-guest';
/** Which sockets a process has. */
const SOCKETS = `var fs = require('fs'); var sockets = () => fs.readdirSync('/proc/self/fd').flatMap((fd) => {
  try { return [fs.readlinkSync('/proc/self/fd/' + fd)]; } catch { return []; }
}).filter((target) => target.startsWith('socket:'))`;

describe('the Node.js interpreter', { timeout: 60_000 }, () => {
  let agent: RealAgent;
  let client: AgentClient;
  const evaluate = (code: string) => client.eval(code, { timeoutMs: 20_000 });
  const result = async (code: string): Promise<string | null> => {
    const answer = await evaluate(code);
    assert.equal(answer.error, null);
    return answer.result;
  };

  const identify = () => client.identify({ newSecret: SECRET, seed: Buffer.alloc(32, 7), unixTimeNs: 0n });

  before(async () => {
    agent = await startRealAgent(NODE);
    client = new AgentClient({ host: '127.0.0.1', port: agent.port });
    await client.waitReady();
    await identify();
    await client.waitWarm();
  });
  after(() => agent.close());

  it('is another process in a copy of the machine, until code has run in it', async () => {
    const children = () => readFile(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8');
    const before = (await children()).trim();
    assert.equal((await identify()).restored, true);
    const pids = await Promise.all([result('process.pid'), result('process.pid')]);
    assert.notEqual(pids[0], before);
    assert.equal(pids[1], pids[0]);
    await identify();
    const kept = await evaluate('process.pid');
    assert.deepEqual([kept.result, kept.stderr], [pids[0], '']);
  });

  it('is started again for another environment, until code has run in it', async () => {
    const other = await startRealAgent(NODE);
    try {
      const client = new AgentClient({ host: '127.0.0.1', port: other.port });
      await client.waitReady();
      await client.identify({ newSecret: SECRET, seed: Buffer.alloc(32, 7), unixTimeNs: 0n });
      await client.waitWarm();
      const evaluated = async (code: string) => (await client.eval(code, { timeoutMs: 20_000 })).result;
      const ofAgent = () => readFile(`/proc/${other.pid}/task/${other.pid}/children`, 'utf8');
      const before = (await ofAgent()).trim();
      // Read at the start of a process, and never again.
      await client.setEnv({ NODE_OPTIONS: '--title=renewed' });
      const pid = await evaluated('process.pid');
      assert.notEqual(pid, before);
      assert.equal(await evaluated('process.title'), "'renewed'");
      await client.setEnv({ ADDED: 'a' });
      assert.equal(await evaluated('[process.env.ADDED, process.pid].join()'), `'a,${pid}'`);
    } finally {
      await other.close();
    }
  });

  it('gives the value of the last expression', async () => {
    assert.equal(await result('const x = 42'), null);
    assert.equal(await result('let y = x + 1\ny * 2'), '86');
    assert.equal(await result('Promise.resolve([y])'), '[ 43 ]');
  });

  it('answers for itself when code starts processes and threads', async () => {
    await result(SOCKETS);
    const fork = `new Promise((done) => {
      const { fork } = require('node:child_process');
      require('node:fs').writeFileSync('child.js', ${JSON.stringify(`${SOCKETS}; process.send(sockets())`)});
      fork('./child.js', { execArgv: [] }).once('message', done);
    }).then((its) => its.filter((socket) => sockets().includes(socket)).length)`;
    assert.equal(await result(fork), '0');
    assert.match((await evaluate("require('node:cluster').fork()")).error ?? '', /modulePath/);
    const worker = `new Promise((done) => {
      const { Worker } = require('node:worker_threads');
      new Worker('process.exit(3)', { eval: true }).once('exit', done);
    })`;
    assert.equal(await result(worker), '3');
    assert.equal(await result("'after'"), "'after'");
  });

  it('says that variables are lost with it, at once and in the next call', async () => {
    const why = 'the interpreter exited with status 5; its variables are lost';
    assert.equal((await evaluate('process.exit(5)')).error, why);
    const next = await evaluate('typeof x');
    assert.deepEqual([next.result, next.stderr], ["'undefined'", `${why}\n`]);
    assert.equal((await evaluate('1')).stderr, '');
  });
});
