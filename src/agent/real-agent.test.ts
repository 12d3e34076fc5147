/** The client against the guest agent itself, run as a process of this host. */
import assert from 'node:assert/strict';
import { readdir, readlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { describeAgentClient } from '../../test/support/agent-suite.js';
import { startRealAgent, type RealAgent } from '../../test/support/real-agent.js';
import { AgentClient } from './client.js';
import { AgentDeadline, AgentRefused } from './errors.js';

const SECRET = 'the-first-secret-of-this-guest';

/** Leaves a program behind that answers, with nothing, for ever, and ends the interpreter. */
const FLOOD = `
import os, stat, subprocess, time
open_fds = [int(name) for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")]
control = next(fd for fd in open_fds if stat.S_ISSOCK(os.fstat(fd).st_mode))
subprocess.Popen(["yes", "{}"], stdout=control, start_new_session=True)
time.sleep(0.3)
os._exit(9)
`;

function identity(newSecret: string) {
  return { newSecret, seed: Buffer.alloc(32, 7), unixTimeNs: BigInt(Date.now()) * 1_000_000n };
}

const refused = (code: string) => (error: unknown) => error instanceof AgentRefused && error.code === code;

describeAgentClient('the guest agent', () => startRealAgent());

describe('the guest agent', { timeout: 60_000 }, () => {
  let agent: RealAgent;
  let client: AgentClient;
  let warmDescriptorCount = 0;
  const connectAs = (secret?: string): AgentClient =>
    new AgentClient({ host: '127.0.0.1', port: agent.port, ...(secret === undefined ? {} : { secret }) });

  before(async () => {
    agent = await startRealAgent();
    client = connectAs();
    await client.waitReady();
  });
  after(() => agent.close());

  it('refuses everything until it is claimed, and then everyone without the secret', async () => {
    await assert.rejects(client.ping(), refused('unauthorized'));
    assert.equal((await client.identify(identity(SECRET))).restored, false);
    assert.equal((await client.waitWarm()).interpreter, 'ready');
    await delay(100);
    warmDescriptorCount = (await readdir(`/proc/${agent.pid}/fd`)).length;
    for (const secret of [undefined, '', 'x', `${SECRET}x`]) {
      await assert.rejects(connectAs(secret).ping(), refused('unauthorized'));
      await assert.rejects(connectAs(secret).identify(identity('s'.repeat(32))), refused('unauthorized'));
    }
  });

  it('sets its clock for its owner only', async () => {
    await client.setClock();
    await assert.rejects(connectAs('x'.repeat(32)).setClock(), refused('unauthorized'));
  });

  it('exec runs a program with input, environment and folder, and tells its exit', async () => {
    const script = 'cat; echo "$A"; pwd >&2; exit 3';
    const ran = await client.exec({
      ...{ args: ['sh', '-c', script], env: { A: 'ä' }, cwd: '/tmp', stdin: 'in\n', timeoutMs: 10_000 },
    });
    assert.deepEqual(ran, { stdout: 'in\nä\n', stderr: '/tmp\n', exitCode: 3, truncated: false });
    assert.equal((await client.exec({ args: ['sh', '-c', 'kill -TERM $$'] })).exitCode, 143);
    const absent = await client.exec({ args: ['no-such-program'] });
    assert.deepEqual([absent.exitCode, absent.stderr], [127, 'bough: no-such-program: not found\n']);
    assert.equal((await client.exec({ args: ['/etc/passwd'] })).exitCode, 126);
    await assert.rejects(client.exec({ args: ['true'], cwd: '/absent' }), refused('bad_request'));
  });

  it('exec passes a lot both ways, unchanged', async () => {
    const megabytes = Buffer.alloc(4 << 20, 'abcdefgh\n');
    const { stdout } = await client.exec({ args: ['cat'], stdin: megabytes, timeoutMs: 20_000 });
    assert.equal(stdout, megabytes.toString());
  });

  it('exec gathers what a program prints in many small writes', async () => {
    const began = performance.now();
    const script = 'i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i + 1)); done';
    const pieces: string[] = [];
    for await (const event of client.execStream({ args: ['sh', '-c', script] })) {
      if (event.type === 'stdout') pieces.push(Buffer.from(event.bytes).toString());
    }
    assert.equal(pieces.join(''), Array.from({ length: 20_000 }, (_, i) => `${i}\n`).join(''));
    const ms = performance.now() - began;
    assert(pieces.length <= ms, `${pieces.length} pieces in ${ms} ms`);
  });

  it('exec does not wait for what a program left in the background', async () => {
    const { stdout } = await client.exec({ args: ['sh', '-c', 'sleep 30 & echo $!'], timeoutMs: 5000 });
    process.kill(Number(stdout), 'SIGKILL');
  });

  it('exec leaves a program in the background that prints something alive', async () => {
    const script =
      '(sleep 0.2; echo late; echo alive > background; sleep 0.1; echo later; echo twice > background) &';
    await client.exec({ args: ['sh', '-c', script], timeoutMs: 5000 });
    await delay(600);
    assert.equal((await client.exec({ args: ['cat', 'background'] })).stdout, 'twice\n');
  });

  it('exec delivers what was printed before the deadline', async () => {
    const printed: string[] = [];
    const stream = client.execStream({ args: ['sh', '-c', 'echo before; sleep 60'], timeoutMs: 300 });
    await assert.rejects(async () => {
      for await (const event of stream) if (event.type === 'stdout') printed.push(event.bytes.toString());
    }, AgentDeadline);
    assert.deepEqual(printed, ['before\n']);
  });

  it('exec kills the whole process group at the deadline and when the client goes', async () => {
    const script = 'sleep 60 & echo $!; wait';
    await assert.rejects(client.exec({ args: ['sh', '-c', script], timeoutMs: 200 }), AgentDeadline);
    let sleeper = 0;
    for await (const event of client.execStream({ args: ['sh', '-c', script] })) {
      if (event.type === 'stdout') sleeper = Number(event.bytes.toString());
      break;
    }
    await waitGone(sleeper);
  });

  it('a reader that does not read stops the program and not the agent', async () => {
    const stream = client.execStream({ args: ['yes'] });
    await stream.next();
    await delay(200);
    assert.equal((await client.ping()).pong, true);
    await stream.return();
  });

  it('eval keeps a namespace: expression, statement, output, error', async () => {
    const evaluate = async (code: string) => client.eval(code, { timeoutMs: 10_000 });
    assert.deepEqual(await evaluate('x = 42'), { ...NOTHING });
    assert.deepEqual(await evaluate(' x + 1 '), { ...NOTHING, result: '43' });
    assert.deepEqual(await evaluate('print("a"); __import__("os").system("echo b")'), {
      ...NOTHING,
      result: '0',
      stdout: 'b\na\n',
    });
    assert.deepEqual(await evaluate('y = x\nprint("c"); y'), { ...NOTHING, result: '42', stdout: 'c\n' });
    assert.deepEqual(await evaluate('def f():\n  return 1\n\nf'), {
      ...NOTHING,
      result: (await evaluate('repr(f)')).result?.slice(1, -1) ?? '',
    });
    assert.deepEqual(await evaluate('f()\nz = 1'), NOTHING);
    const failed = await evaluate('1/0');
    assert.equal(failed.exitCode, 1);
    assert.match(failed.error ?? '', /ZeroDivisionError: division by zero$/);
  });

  it('eval shortens a result that is too long, and passes any text', async () => {
    const { result } = await client.eval('"x" * 20_000_000', { timeoutMs: 20_000 });
    assert.match(result ?? '', /^'x+\.\.\. \(18951426 more characters\)$/);
    assert.equal((await client.eval('print("\\ud800", "ä")')).stdout, '');
    assert.equal((await client.eval('"ä😀"')).result, "'ä😀'");
  });

  it('eval says when it left out what was printed, and not the next time', async () => {
    const { stdout, stderr, truncated } = await client.eval('print("x" * 1_048_575)');
    assert.deepEqual([stdout.length, stderr, truncated], [1 << 20, '', false]);
    const more = await client.eval('import sys; print("x" * 1_048_576, file=sys.stderr)');
    assert.deepEqual([more.stdout, more.stderr.length, more.truncated], ['', 1 << 20, true]);
    assert.equal((await client.eval('print("x")')).truncated, false);
  });

  it('eval interrupts what runs too long and keeps the namespace', async () => {
    await client.eval('y = 1');
    await assert.rejects(client.eval('while True: pass', { timeoutMs: 200 }), AgentDeadline);
    assert.equal((await client.eval('y')).result, '1');
  });

  it('eval starts the interpreter again when code has ended it', async () => {
    const { error, exitCode } = await client.eval('import os; os._exit(5)');
    const why = 'the interpreter exited with status 5; its variables are lost';
    assert.deepEqual([error, exitCode], [why, 1]);
    const next = await client.eval('import sys; print("mine", file=sys.stderr); 2 + 2');
    assert.deepEqual([next.result, next.stderr], ['4', `${why}\nmine\n`]);
    assert.deepEqual(await client.eval('3'), { ...NOTHING, result: '3' });
  });

  it('eval tells of variables that were lost while nobody asked for anything', async () => {
    const { result } = await client.eval('import os; kept = 1; os.getpid()');
    process.kill(Number(result), 'SIGKILL');
    // An eval that is quicker than the agent's notice of the death is told at once.
    const { error, stderr } = await client.eval('kept', { timeoutMs: 10_000 });
    assert.match(`${error}${stderr}`, /killed by signal 9; its variables are lost/);
    // Told once more if that one was; nobody after it is.
    await client.eval('0');
    assert.equal((await client.eval('0')).stderr, '');
  });

  it('eval answers for itself when code forks, whatever the child comes to', async () => {
    const forked = await client.eval('import os; print("once"); child = os.fork()', { timeoutMs: 10_000 });
    assert.deepEqual(forked, { ...NOTHING, stdout: 'once\n' });
    assert.equal((await client.eval('os.waitpid(child, 0)[1]')).result, '0');
    await client.eval('child = os.fork()\nif child == 0: raise SystemExit(3)');
    assert.equal((await client.eval('os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])')).result, '3');
    assert.deepEqual(await client.eval('"after"'), { ...NOTHING, result: "'after'" });
  });

  it('eval goes on when a process that code left running writes without rest to what it answers over', async () => {
    await client.eval(FLOOD, { timeoutMs: 20_000 });
    await delay(500);
    assert.equal((await client.ping({ timeoutMs: 10_000 })).pong, true);
    assert.equal((await client.eval('2 + 2', { timeoutMs: 20_000 })).result, '4');
  });

  it('takes malformed input for what it is', async () => {
    for (const bytes of [
      'GET / HTTP/1.1\r\n\r\n',
      '\x01\xff\xff\xff\xff',
      '\x01\0\0\0\x02[]',
      '\x03\0\0\0\0',
    ]) {
      await closedAfter(agent.port, Buffer.from(bytes, 'latin1'));
    }
    await assert.rejects(client.exec({ args: [] }), refused('bad_request'));
    await assert.rejects(client.exec({ args: ['true'], env: { 'A=': 'x' } }), refused('bad_request'));
  });

  it('identify gives it a new secret and environment, and leaves running programs alone', async () => {
    await writeFile(agent.hookPath, '#!/bin/sh\necho "$TOKEN" > hooked; exit 4\n', { mode: 0o755 });
    const stale = client.execStream({
      args: ['sh', '-c', `echo go; sleep 0.5; echo still > ${agent.dir}/marker`],
    });
    await stale.next();
    const { restored, hook } = await client.identify({
      ...identity('second-secret-of-it'),
      env: { TOKEN: 't' },
    });
    assert.deepEqual([restored, hook], [true, { exitCode: 4 }]);
    await assert.rejects(stale.next(), { name: 'AgentUnreachable' });
    await assert.rejects(connectAs(SECRET).ping(), refused('unauthorized'));
    assert.equal((await client.exec({ args: ['sh', '-c', 'echo $TOKEN'] })).stdout, 't\n');
    assert.equal((await client.eval('__import__("os").environ["TOKEN"]')).result, "'t'");
    await delay(700);
    assert((await readdir(agent.dir)).includes('marker'));
  });

  it('set_env adds to the environment, and takes nothing from the interpreter that code has set', async () => {
    const values = (...names: string[]) =>
      client.eval(`[os.environ.get(name) for name in ${JSON.stringify(names)}]`);
    await client.eval('import os; kept = 1; os.environ["OWN"] = "o"; os.environ["LANG"] = "C"');
    await client.setEnv({ ADDED: 'a' });
    assert.equal((await client.exec({ args: ['sh', '-c', 'echo $TOKEN $ADDED'] })).stdout, 't a\n');
    assert.equal((await values('TOKEN', 'ADDED', 'OWN', 'LANG')).result, "['t', 'a', 'o', 'C']");
    await client.identify(identity('third-secret-of-it'));
    assert.equal((await values('TOKEN', 'ADDED', 'OWN', 'LANG')).result, "[None, None, 'o', 'C']");
    assert.equal((await client.eval('kept')).result, '1');
    await assert.rejects(client.setEnv({ 'A=': 'x' }), refused('bad_request'));
  });

  it('set_env tells an interpreter of an older image, which knows of no changes, all of its environment', async () => {
    const script = `
import json, os, socket
control = socket.socket(fileno=int(os.environ.pop('BOUGH_FD')))
say = lambda message: control.sendall(json.dumps(message).encode() + b'\\n')
say({'ready': True, 'reseeds': True})
for line in control.makefile('rb'):
    message = json.loads(line)
    if 'env' in message:
        os.environ.clear()
        os.environ.update(message['env'])
    if 'code' in message:
        say({'result': repr(eval(message['code'])), 'error': None, 'exit_code': 0})`;
    const other = await startRealAgent(['python3', '-c', script]);
    try {
      const client = new AgentClient({ host: '127.0.0.1', port: other.port });
      await client.waitReady();
      await client.identify(identity('secret-of-the-older'));
      await client.waitWarm();
      await client.setEnv({ ADDED: 'a' });
      assert.equal((await client.eval('[os.environ["ADDED"], "PATH" in os.environ]')).result, "['a', True]");
    } finally {
      await other.close();
    }
  });

  it('eval draws other numbers in a copy of the machine', async () => {
    const forks =
      'import random, tempfile, ssl, os; kept = 1; random.seed(1); state = random.getstate(); names = tempfile._get_candidate_names()';
    await client.eval(forks, { timeoutMs: 10_000 });
    assert.equal((await client.eval('random.getstate() == state')).result, 'True');
    await client.identify(identity('fourth-secret-of-it'));
    const now = '[kept, random.getstate() == state, tempfile._get_candidate_names() is names]';
    assert.deepEqual(await client.eval(now), { ...NOTHING, result: '[1, False, False]' });
  });

  it('stays where it is, wherever its programs are', async () => {
    const cwd = `/proc/${agent.pid}/cwd`;
    const before = await readlink(cwd);
    assert.equal((await client.exec({ args: ['pwd'], cwd: '/usr' })).stdout, '/usr\n');
    assert.equal(await readlink(cwd), before);
  });

  it('leaves no further thread, process or descriptor behind', async () => {
    await delay(100);
    const threads = await readdir(`/proc/${agent.pid}/task`);
    const descriptors = await readdir(`/proc/${agent.pid}/fd`);
    assert.equal(threads.length, 2, 'its own and the one that begins programs');
    assert(descriptors.length <= warmDescriptorCount, `${descriptors.length} descriptors`);
  });
});

const NOTHING = { result: null, error: null, exitCode: 0, stdout: '', stderr: '', truncated: false };

async function waitGone(pid: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await delay(20);
  }
  assert.fail(`process ${pid} is still there`);
}

function closedAfter(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.resume();
  });
}
