import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { lockHolder, sleep, withDeadline } from '../../src/base/index.js';
import { Bough } from '../../src/sdk/index.js';
import { processStartTicks } from '../../src/vmm/index.js';
import { lockPathOf } from '../../src/store/index.js';
import { runCli } from '../support/cli-run.js';
import { freePort } from '../../src/bench/free-port.js';

const PROJECT_DIR = join(import.meta.dirname, '../../..');
const BOUGH = join(PROJECT_DIR, 'dist/src/cli/main.js');
const DEADLINE_MS = 60_000;
/** Several of the looks that a daemon run by npm takes at whether npm is there. */
const NPM_LOOKED_AFTER_MS = 2_000;

describe('stopping what was started', { timeout: 180_000 }, () => {
  let dir = '';
  let hotDir = '';
  let stateDir = '';
  let daemonPid: number | undefined;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-stop-'));
    hotDir = await mkdtemp('/dev/shm/bough-stop-');
    stateDir = join(dir, 'state');
  });
  afterEach(async () => {
    const isLeft = daemonPid !== undefined && (await processStartTicks(daemonPid)) !== undefined;
    if (isLeft && daemonPid !== undefined) process.kill(daemonPid, 'SIGKILL');
  });
  after(async () => {
    await rm(dir, { recursive: true });
    await rm(hotDir, { recursive: true });
  });

  /**
   * Starts a daemon the way that is typed, in a session of its own as a shell's job is, and waits until it
   * listens.
   */
  const start = async (command: string, args: readonly string[]): Promise<ChildProcess> => {
    const folders = ['--state-dir', stateDir, '--hot-dir', hotDir, '--cache-dir', join(dir, 'cache')];
    const listen = `127.0.0.1:${await freePort()}`;
    const child = spawn(command, [...args, 'serve', ...folders, '--listen', listen], {
      cwd: PROJECT_DIR,
      stdio: 'ignore',
      detached: true,
    });
    const client = new Bough({ url: `http://${listen}` });
    const answers = (): Promise<boolean> =>
      client.healthz().then(
        ({ ok }) => ok,
        () => false,
      );
    const listening = (async () => {
      while (!(await answers())) {
        assert([null, 0].includes(child.exitCode), 'it ended without listening');
        await sleep(50);
      }
    })();
    await withDeadline(listening, DEADLINE_MS, 'The start of the daemon');
    daemonPid = await lockHolder(lockPathOf(stateDir));
    assert(daemonPid !== undefined);
    return child;
  };

  const daemonEnds = async (): Promise<void> => {
    assert(daemonPid !== undefined);
    const pid = daemonPid;
    const gone = (async () => {
      while ((await processStartTicks(pid)) !== undefined) await new Promise((tick) => setTimeout(tick, 50));
    })();
    await withDeadline(gone, DEADLINE_MS, 'The end of the daemon');
    assert.equal(await lockHolder(lockPathOf(stateDir)), undefined);
  };

  it('`bough stop` ends `bough serve`, which has then ended with 0', async () => {
    const daemon = await start(process.execPath, [BOUGH]);
    const ended = once(daemon, 'exit');
    const { status, stderr } = await runCli(['stop', '--state-dir', stateDir]);
    assert.deepEqual([status, stderr.split(';')[0]], [0, `stopped the daemon (process ${daemonPid})`]);
    assert.equal(await processStartTicks(daemonPid ?? 0), undefined);
    assert.deepEqual(await ended, [0, null]);
  });

  it('`bough stop` says that none runs, over a folder that is not there too', async () => {
    for (const folder of [stateDir, '/nowhere/at/all']) {
      const { status, stderr } = await runCli(['stop', '--state-dir', folder]);
      assert.equal(status, 3);
      assert.match(stderr, new RegExp(`^error: No daemon runs over ${folder}\nhint: give the --state-dir`));
    }
  });

  it('a signal to npx ends the daemon that npx started', async () => {
    const npx = await start('npx', ['--no', '--', 'bough']);
    assert.notEqual(daemonPid, npx.pid);
    npx.kill('SIGTERM');
    await daemonEnds();
  });

  it('a killed npx ends the daemon that it started', async () => {
    const npx = await start('npx', ['--no', '--', 'bough']);
    npx.kill('SIGKILL');
    await daemonEnds();
  });

  it('`bough serve &` outlives the npm script that started it, until `bough stop`', async () => {
    const script = join(dir, 'script');
    await mkdir(script);
    // npm appends the arguments, so that they become the function's.
    const scripts = { up: `up() { "${process.execPath}" "${BOUGH}" "$@" & }; up` };
    await writeFile(join(script, 'package.json'), JSON.stringify({ name: 'script', scripts }));
    const npm = await start('npm', ['--prefix', script, 'run', 'up', '--']);
    if (npm.exitCode === null) await once(npm, 'exit');
    assert.equal(npm.exitCode, 0);
    await sleep(NPM_LOOKED_AFTER_MS);
    assert.equal(await lockHolder(lockPathOf(stateDir)), daemonPid);
    const { status } = await runCli(['stop', '--state-dir', stateDir]);
    assert.equal(status, 0);
    await daemonEnds();
  });

  it('a hangup does nothing to a daemon without a terminal, as nohup leaves it', async () => {
    const daemon = await start(process.execPath, [BOUGH]);
    const ended = once(daemon, 'exit');
    daemon.kill('SIGHUP');
    await sleep(1_000);
    assert.equal(daemon.exitCode, null);
    // Were it stopping since the hangup, this would be a second signal, and the status 1.
    daemon.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
  });

  it('an interrupt that arrives twice at once still stops politely', async () => {
    const daemon = await start(process.execPath, [BOUGH]);
    const ended = once(daemon, 'exit');
    daemon.kill('SIGINT');
    daemon.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
  });
});
