import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pino } from 'pino';
import { runInProcess, type Ran } from '../../test/support/cli-in-process.js';
import { fakeHost, type FakeHost } from '../../test/support/fake-host.js';
import type { Check } from '../vmm/host/check.js';
import { BoughError, type Sandbox } from '../contract/index.js';
import { ConfigError, loadConfig } from '../daemon/config.js';
import { serve, type Daemon } from '../daemon/serve.js';
import { exampleOf } from './example.js';
import { processIo } from './io.js';
import { shortForms } from './nouns.js';
import { buildProgram } from './program.js';
import { providers, type Providers } from './providers.js';

const token = 'k3jf8s7d6f5g4h3j2k1l0q9w8e7r6t5y';

async function runWith(
  args: string[],
  env: Record<string, string>,
  script: Partial<Providers> = {},
  stdin = '',
  isTerminal = false,
): Promise<Ran> {
  const io = { isTerminal, readStdin: () => Promise.resolve(stdin) };
  return runInProcess(args, { env, providers: script, io });
}

describe('the command line with a daemon', () => {
  let dir: string;
  let daemon: Daemon;
  let host: FakeHost;
  let execRequest: Parameters<FakeHost['exec']>[1] | undefined;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-cli-'));
    const tokenFile = join(dir, 'token');
    await writeFile(tokenFile, `${token}\n`, { mode: 0o600 });
    host = fakeHost({
      exec: (_id, request) => {
        execRequest = request;
        return Promise.resolve({ stdout: 'out\x1b[0m', stderr: 'err', exitCode: 7, truncated: false });
      },
    });
    const config = loadConfig({ listen: '127.0.0.1:0', stateDir: '/nowhere', tokenFile }, {});
    daemon = await serve(config, host, { log: pino({ level: 'silent' }) });
  });
  after(async () => {
    await daemon.close();
    await rm(dir, { recursive: true });
  });

  const bough = async (...args: string[]) => runWith(args, { BOUGH_URL: daemon.address, BOUGH_TOKEN: token });

  it('spawns and prints ids, one a line', async () => {
    for (const howMany of ['-n', '--count', '--number']) {
      const { code, stdout, stderr } = await bough('spawn', '--tag', 'base', howMany, '2');
      assert.deepEqual([code, stderr], [0, '']);
      assert.match(stdout, /^sandbox\d+\nsandbox\d+\n$/);
    }
    assert.match((await bough('spawn', 'base')).stdout, /^sandbox\d+\n$/);
  });

  it('lists for people and for programs', async () => {
    await bough('spawn', '--tag', 'base');
    const table = await bough('ls');
    assert.match(table.stdout, /^ID +NAME +STATE +SNAPSHOT/);
    const listed = JSON.parse((await bough('ls', '-o', 'json')).stdout) as Sandbox[];
    assert.equal(listed.length, host.sandboxes.size);
    const before = await bough('-o', 'json', 'snapshots');
    assert.equal((JSON.parse(before.stdout) as { tag: string }[])[0]?.tag, 'base');
  });

  it('branches: the tag on stdout, words on stderr', async () => {
    const id = (await bough('spawn', '--tag', 'base')).stdout.trim();
    const { stdout, stderr } = await bough('branch', id, '--tag', 'b1', '--wait', 'none');
    assert.equal(stdout, 'b1\n');
    assert.equal(stderr, 'snapshot "b1" is writing, the sandbox paused for 1.25 ms\n');
    const again = await bough('branch', id, '--tag', 'b1');
    assert.equal(again.code, 1);
    assert.match(again.stderr, /^error: A snapshot named "b1" exists already\nhint: choose another --tag/);
  });

  it('forks and prints the ids of the children', async () => {
    const id = (await bough('spawn', '--tag', 'base')).stdout.trim();
    assert.match((await bough('fork', id, '-n', '2', '--tag', 'f1')).stdout, /^sandbox\d+\nsandbox\d+\n$/);
  });

  it('reports children that did not start', async () => {
    const fork = host.fork.bind(host);
    host.fork = async (id, request, call) => {
      const result = await fork(id, request, call);
      return {
        ...result,
        children: [
          ...result.children,
          { error: new BoughError('no_memory', { neededBytes: 2, availableBytes: 1 }) },
        ],
      };
    };
    const id = (await bough('spawn', '--tag', 'base')).stdout.trim();
    const { code, stderr } = await bough('fork', id, '--tag', 'f2');
    host.fork = fork;
    assert.equal(code, 1);
    assert.match(stderr, /a child did not start: Not enough memory/);
  });

  it('exec as json asks for all of it at once', async () => {
    const options = ['--timeout', '5', '-e', 'A=b=c', '-o', 'json'];
    const ran = await bough('exec', 'abc', ...options, '--', 'ls', '-o', 'json', '--', 'x');
    const answer = { stdout: 'out\x1b[0m', stderr: 'err', exit_code: 7, truncated: false };
    assert.deepEqual([ran.code, JSON.parse(ran.stdout)], [7, answer]);
    const { onOutput, ...asked } = execRequest ?? {};
    assert.equal(typeof onOutput, 'function');
    assert.deepEqual(asked, {
      args: ['ls', '-o', 'json', '--', 'x'],
      timeoutMs: 5000,
      env: { A: 'b=c' },
    });
  });

  it('eval prints the result', async () => {
    const id = (await bough('spawn', '--tag', 'base')).stdout.trim();
    assert.deepEqual(await bough('eval', id, '3 * 4'), { code: 0, stdout: '3 * 4\n', stderr: '' });
    assert.equal((await bough('eval', id, '--', '-1 + 2')).stdout, '-1 + 2\n');
  });

  it('eval passes on what was printed, each stream to its own, before the result', async (t) => {
    const printed = { stdout: 'out\n', stderr: 'err\n', truncated: false };
    const evaluate = () => Promise.resolve({ result: '1', error: null, exitCode: 0, ...printed });
    t.mock.method(host, 'evaluate', evaluate);
    assert.deepEqual(await bough('eval', 'abc', '1'), { code: 0, stdout: 'out\n1\n', stderr: 'err\n' });
    const { stdout } = await bough('eval', 'abc', '1', '-o', 'json');
    assert.deepEqual(JSON.parse(stdout), { result: '1', error: null, exit_code: 0, ...printed });
  });

  it('eval says on stderr that output is missing', async (t) => {
    const cut = { stdout: 'out', stderr: '', truncated: true, exitCode: 0 };
    t.mock.method(host, 'evaluate', () => Promise.resolve({ ...cut, result: null, error: null }));
    const { stdout, stderr } = await bough('eval', 'abc', 'x');
    assert.deepEqual([stdout, stderr], ['out', 'note: it printed more than is kept; the rest is left out\n']);
  });

  it('says the same with a noun and in its short form', async () => {
    const id = (await bough('sandbox', 'spawn', '--tag', 'base')).stdout.trim();
    assert.match((await bough('sandbox', 'ls')).stdout, new RegExp(`^${id} `, 'm'));
    assert.match((await bough('ls', '-q')).stdout, new RegExp(`^${id}$`, 'm'));
    assert.match((await bough('sandbox', 'info', id)).stdout, /^snapshot_tag +base$/m);
    assert.equal((await bough('sandbox', 'eval', id, '3 * 4')).stdout, '3 * 4\n');
    assert.equal(
      (await bough('sandbox', 'exec', id, '--timeout', '1m30s', '-o', 'json', '--', 'ls')).code,
      7,
    );
    assert.deepEqual([execRequest?.args, execRequest?.timeoutMs], [['ls'], 90_000]);
    assert.equal((await bough('sandbox', 'branch', id, '--tag', 'noun')).stdout, 'noun\n');
    assert.equal((await bough('snapshot', 'ls')).stdout, (await bough('snapshots')).stdout);
    assert.equal((await bough('snapshot', 'rm', 'noun')).code, 0);
    assert.ok(!host.snapshots.has('noun'));
    assert.equal((await bough('sandbox', 'rm', id)).code, 0);
    assert.ok(!host.sandboxes.has(id));
  });

  it('rm goes on after a failure', async () => {
    const id = (await bough('spawn', '--tag', 'base')).stdout.trim();
    const { code, stderr } = await bough('rm', 'absent', id);
    assert.equal(code, 1);
    assert.match(stderr, /^error: No sandbox has the id or name "absent"\nhint: /);
    assert.ok(!host.sandboxes.has(id));
  });

  it('snapshot create starts a line of a shell, or what the image says', async (t) => {
    const create = t.mock.method(host, 'createSnapshot');
    const asked = async (...args: string[]) => {
      const { code } = await bough('snapshot', 'create', '--tag', 'served', '--image', 'i', ...args);
      assert.equal(code, 0);
      host.snapshots.delete('served');
      return create.mock.calls.at(-1)?.arguments[0].service;
    };
    assert.equal(await asked(), undefined);
    assert.deepEqual(await asked('--start'), { start: true });
    const ready = { kind: 'tcp', port: 5432 };
    assert.deepEqual(await asked('--start', '--ready', 'tcp:5432'), { start: true, ready });
    assert.deepEqual(await asked('--start', 'serve -p 1', '--ready', 'tcp:5432', '--ready-timeout', '10m'), {
      start: ['/bin/sh', '-c', 'serve -p 1'],
      ready,
      readyTimeoutMs: 600_000,
    });
  });

  it('rm takes tags only with --snapshot', async () => {
    await bough('snapshot', 'create', '--tag', 'gone', '--image', 'python');
    assert.equal((await bough('rm', 'gone')).code, 1);
    assert.equal((await bough('rm', '--snapshot', 'gone')).code, 0);
    assert.ok(!host.snapshots.has('gone'));
    assert.equal((await bough('rm', '--force', 'x')).code, 2);
    assert.equal((await bough('rm', '--snapshot', '--force', '--cascade', 'x')).code, 2);
  });

  it('says what to do about a wrong token', async () => {
    const { code, stderr } = await runWith(['ls'], { BOUGH_URL: daemon.address });
    assert.equal(code, 1);
    assert.match(stderr, /\nhint: give --token-file/);
    const withFile = await runWith(['ls', '--token-file', join(dir, 'token')], { BOUGH_URL: daemon.address });
    assert.equal(withFile.code, 0);
  });
});

describe('the command line without a daemon', () => {
  it('ends with 3 and a hint', async () => {
    const { code, stdout, stderr } = await runWith(['ls', '--url', 'http://127.0.0.1:1'], {});
    assert.deepEqual([code, stdout], [3, '']);
    assert.match(stderr, /^error: No answer from http:\/\/127\.0\.0\.1:1: .+\nhint: start the daemon/);
  });

  const wrong: string[][] = [
    ['nothing'],
    ['spawn'],
    ['spawn', 'a', '--tag', 'b'],
    ['spawn', '--tag', '../x'],
    ['spawn', '--tag', 'a', '-n', '0'],
    ['branch', '..'],
    ['branch', 'a', '--mode', 'fast'],
    ['fork', 'a', '--count', 'x'],
    ['exec', 'a'],
    ['exec', 'a', '-la', 'ls'],
    ['exec', '-la', 'a', 'ls'],
    ['exec', 'a', '-e', '=x', '--', 'ls'],
    ['snapshot', 'create', '--tag', 'a'],
    ['snapshot', 'create', '--tag', 'a', '--image', 'i', '--kernel', '/k', '--rootfs', '/r'],
    ['snapshot', 'create', '--tag', 'a', '--image', 'i', '--ready', 'tcp:80'],
    ['snapshot', 'create', '--tag', 'a', '--image', 'i', '--start', '--ready', 'udp:80'],
    ['timeout', 'a'],
    ['ls', '-o', 'xml'],
    ['ls', '--url', 'ftp://x'],
    ['ls', '--token-file', '/nowhere/token'],
  ];
  for (const args of wrong) {
    it(`\`bough ${args.join(' ')}\` is wrong usage`, async () => {
      const { code, stdout, stderr } = await runWith(args, {});
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, /^error: .+\n(\(Did you mean .+\n)?hint: --help/);
    });
  }

  it('prints help and version on stdout', async () => {
    assert.match((await runWith(['--version'], {})).stdout, /^\d+\.\d+\.\d+\n$/);
    const help = await runWith(['branch', '--help'], {});
    assert.equal(help.code, 0);
    assert.match(help.stdout, /Example:\n {2}bough branch /);
  });

  it('serve passes its flags on', async () => {
    let seen: unknown;
    const runDaemon: Providers['runDaemon'] = (flags) => {
      seen = flags;
      return Promise.reject(new ConfigError('--listen is wrong'));
    };
    const { code, stderr } = await runWith(['serve', '--listen', 'x', '--hot-dir', '/h'], {}, { runDaemon });
    assert.deepEqual(seen, { listen: 'x', hotDir: '/h' });
    assert.deepEqual([code, stderr], [2, 'error: --listen is wrong\n']);
  });

  it('stop says whom it stopped, how long it waited, and that none runs', async () => {
    const asked: unknown[] = [];
    const answers = [{ pid: 7 }, { pid: undefined }];
    const stopDaemon: Providers['stopDaemon'] = (stateDir, deadlineMs) => {
      asked.push([stateDir, deadlineMs]);
      return Promise.resolve(answers.shift()?.pid);
    };
    const env = { BOUGH_STATE_DIR: '/s' };
    const stopped = await runWith(['stop'], env, { stopDaemon });
    assert.deepEqual([stopped.code, stopped.stdout], [0, '']);
    assert.match(stopped.stderr, /^stopped the daemon \(process 7\); its sandboxes run on/);
    const none = await runWith(['stop', '--state-dir', '/t', '--timeout', '2m'], env, { stopDaemon });
    assert.equal(none.code, 3);
    assert.match(none.stderr, /^error: No daemon runs over \/t\nhint: give the --state-dir/);
    const notAllowed = Object.assign(new Error('Cannot stop'), { name: 'StopNotAllowed' });
    const refused = await runWith(['stop'], {}, { stopDaemon: () => Promise.reject(notAllowed) });
    assert.deepEqual(
      [refused.code, refused.stderr],
      [1, 'error: Cannot stop\nhint: stop it as the user who started it, or as root\n'],
    );
    assert.deepEqual(asked, [
      ['/s', 60_000],
      ['/t', 120_000],
    ]);
  });

  it('serve tells a person how to stop it, and a program nothing but its log', async () => {
    const runDaemon: Providers['runDaemon'] = (_flags, _env, onListening) => {
      onListening({ address: 'http://127.0.0.1:1', stateDir: '/s' });
      return Promise.resolve();
    };
    const { stderr } = await runWith(['serve'], {}, { runDaemon });
    assert.equal(stderr, '');
    const onTerminal = await runWith(['serve'], {}, { runDaemon }, '', true);
    assert.match(onTerminal.stderr, /http:\/\/127\.0\.0\.1:1; stop it: bough stop --state-dir \/s\n$/);
  });

  it('image build shows progress on a terminal, and the name on stdout', async () => {
    const buildImage: Providers['buildImage'] = async ({ name, onProgress }) => {
      onProgress('packing');
      // A line is shown of what takes longer than a second.
      await new Promise((resolve) => setTimeout(resolve, 1200));
      return { name, digest: 'sha256:0', rootfsBytes: 1, memoryMiB: 1, vcpus: 1 };
    };
    const ran = await runWith(['image', 'build', 'python'], {}, { buildImage });
    assert.deepEqual(ran, { code: 0, stdout: 'python\n', stderr: '' });
    const watched = await runWith(['image', 'build', 'python'], {}, { buildImage }, '', true);
    assert.equal(watched.stdout, 'python\n');
    assert.match(watched.stderr, /packing … \ds/);
  });

  it('doctor fails when a check does', async () => {
    const runDoctor: Providers['runDoctor'] = () =>
      Promise.resolve([{ name: 'qemu', status: 'fail', found: 'missing', remedy: 'install it' }]);
    const { code, stdout, stderr } = await runWith(['doctor'], {}, { runDoctor });
    assert.equal(code, 1);
    assert.match(stdout, /fail +qemu +missing/);
    assert.equal(stderr, 'hint: qemu: install it\n');
  });

  it('doctor --fix sets what can be set, says so, and looks again', async () => {
    const setting = { path: '/proc/sys/vm/x', value: '7' };
    const wanting = { name: 'mappings', status: 'warn' as const, found: 'few', remedy: 'raise it', setting };
    const applied: unknown[] = [];
    const checks = (): Promise<Check[]> =>
      Promise.resolve(applied.length === 0 ? [wanting] : [{ name: 'mappings', status: 'ok', found: 'many' }]);
    const told = await runWith(['doctor'], {}, { runDoctor: checks });
    assert.equal(told.stderr, 'hint: mappings: raise it; `bough doctor --fix` does it\n');
    const applySetting: Providers['applySetting'] = (each) => Promise.resolve(void applied.push(each));
    const fixed = await runWith(['doctor', '--fix'], {}, { runDoctor: checks, applySetting });
    assert.deepEqual(applied, [setting]);
    assert.equal(fixed.code, 0);
    assert.match(fixed.stdout, /ok +mappings +many/);
    assert.match(fixed.stderr, /^fixed: mappings: wrote 7 to \/proc\/sys\/vm\/x, until the next boot\n$/);
    applied.length = 0;
    const refused = () => Promise.reject(new Error('EACCES: permission denied'));
    const failed = await runWith(['doctor', '--fix'], {}, { runDoctor: checks, applySetting: refused });
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^error: mappings: EACCES/);
  });

  it('an error of the catalogue from below keeps its words', async () => {
    const listImages = () => Promise.reject(new BoughError('image_not_found', { image: 'x' }));
    const { code, stderr } = await runWith(['image', 'ls'], {}, { listImages });
    assert.deepEqual([code, stderr], [1, 'error: No image named "x" has been built on this host\n']);
  });

  it('every command has a noun, or belongs to the daemon or the host, and an example', () => {
    const { commands } = buildProgram({ io: processIo(), providers });
    const withoutNoun = commands
      .filter(({ commands: verbs }) => verbs.length === 0)
      .map((each) => each.name());
    const ofHost = ['serve', 'stop', 'doctor', 'gc', 'quickstart', 'bench', 'completion', '__complete'];
    const ofAll = ['tree', 'events'];
    const short = Object.keys(shortForms).filter((form) => !form.includes(' '));
    assert.deepEqual(withoutNoun.sort(), [...short, ...ofHost, ...ofAll].sort());
    for (const long of Object.values(shortForms)) {
      const [noun, verb] = long.split(' ');
      const found = commands
        .find((each) => each.name() === noun)
        ?.commands.find((each) => each.name() === verb);
      assert(found !== undefined && exampleOf(found) !== undefined, long);
    }
  });

  it('every duration takes units', () => {
    const all = buildProgram({ io: processIo(), providers }).commands.flatMap((each) => [
      each,
      ...each.commands,
    ]);
    const flags = all.flatMap(({ options }) => options.map((option) => option.flags));
    assert.deepEqual(
      flags.filter((each) => /<(seconds|secs|ms|minutes)>/.test(each)),
      [],
    );
    const timeouts = flags.filter((each) => /timeout|expires|wait <d|boot-wait/.test(each));
    assert(timeouts.length > 10);
    for (const each of timeouts) assert.match(each, /<duration>$/);
  });
});
