/**
 * A daemon for one benchmark run, in folders of its own, and all traces of it removed at the end.
 *
 * Sandboxes outlive their daemon, so ending it is not enough: sandboxes are removed through the API first, and whatever process
 * then still names our hot folder in its arguments is killed. The folder's name is random, so that can only be ours.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ResourceStack, sleep } from '../src/base/index.js';
import { Bough } from '../src/sdk/client.js';

const MAIN = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
const START_DEADLINE_MS = 30_000;
const STOP_GRACE_MS = 15_000;
const CLEANUP_CALL_MS = 15_000;
const POLL_MS = 20;

export interface OwnDaemon {
  readonly client: Bough;
  readonly pid: number;
  /** Ends the daemon and everything it started, and removes its folders. Idempotent. */
  close(): Promise<void>;
}

/** Starts a daemon on a free port of 127.0.0.1; rejects with the end of its log if it does not come up, and nothing is left then. */
export async function startOwnDaemon({
  cacheDir,
  signal,
}: {
  cacheDir: string;
  signal?: AbortSignal | undefined;
}): Promise<OwnDaemon> {
  await using undo = new ResourceStack();
  const stateDir = await mkdtemp(join(tmpdir(), 'bough-bench-'));
  undo.defer(() => rm(stateDir, { recursive: true, force: true }));
  const hotDir = `/dev/shm/bough-bench-${randomBytes(6).toString('hex')}`;
  undo.defer(() => rm(hotDir, { recursive: true, force: true }));
  undo.defer(() => killAllNaming(hotDir));

  const logPath = join(stateDir, 'bench-daemon.log');
  const daemon = await spawnDaemon({ stateDir, hotDir, cacheDir, logPath });
  undo.defer(() => stop(daemon));
  const client = new Bough({ url: await addressOf(daemon, logPath, signal) });
  undo.defer(() => removeSandboxes(client).catch(() => undefined));
  const kept = undo.move();
  return { client, pid: daemon.pid ?? 0, close: () => kept.close() };
}

async function spawnDaemon(paths: {
  stateDir: string;
  hotDir: string;
  cacheDir: string;
  logPath: string;
}): Promise<ChildProcess> {
  const log = await open(paths.logPath, 'a', 0o600);
  try {
    const flags = [
      ...['--listen', '127.0.0.1:0'],
      ...['--state-dir', paths.stateDir],
      ...['--hot-dir', paths.hotDir],
      ...['--cache-dir', paths.cacheDir],
    ];
    // In a session of its own: an interrupt from the terminal must reach the benchmark only, which then cleans up through it.
    const child = spawn(process.execPath, [MAIN, 'serve', ...flags], {
      env: environmentWithoutBough(),
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
    });
    await once(child, 'spawn');
    return child;
  } finally {
    await log.close();
  }
}

function environmentWithoutBough(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('BOUGH_')));
}

async function addressOf(
  daemon: ChildProcess,
  logPath: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const rounds = START_DEADLINE_MS / POLL_MS;
  for (let round = 0; round < rounds; round++) {
    const text = await readFile(logPath, 'utf8');
    const address = listeningAddress(text);
    if (address !== undefined) return address;
    if (daemon.exitCode !== null || daemon.signalCode !== null) {
      throw new Error(`The daemon ended at start: ${text.trim().slice(-1000)}`);
    }
    await sleep(POLL_MS, signal);
  }
  throw new Error(`The daemon does not listen after ${START_DEADLINE_MS} ms`);
}

/** The address in the daemon's log line that says it listens. */
export function listeningAddress(log: string): string | undefined {
  const line = log.split('\n').find((each) => each.includes('"msg":"listening"'));
  return line === undefined ? undefined : /"address":"(http:[^"]+)"/.exec(line)?.[1];
}

async function removeSandboxes(client: Bough): Promise<void> {
  const signal = AbortSignal.timeout(CLEANUP_CALL_MS);
  for (const { id } of await client.sandboxes.list({ signal })) await client.sandboxes.delete(id, { signal });
}

async function stop(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const exited = once(daemon, 'exit');
  daemon.kill('SIGTERM');
  const grace = setTimeout(() => daemon.kill('SIGKILL'), STOP_GRACE_MS);
  await exited;
  clearTimeout(grace);
}

async function killAllNaming(hotDir: string): Promise<void> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const commandLine = await readFile(`/proc/${name}/cmdline`, 'latin1').catch(() => '');
    if (!commandLine.includes(hotDir)) continue;
    try {
      process.kill(Number(name), 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
}
