/**
 * A daemon for the length of one command: on a free port of the loopback, ended with the command.
 *
 * It is a process of its own, as a user's daemon is, so what a command measures through it is what users get. The kernel chooses
 * the port; the daemon tells which, and what else happens, as messages. Its log is for people. Sandboxes outlive their daemon, so a
 * throwaway one has more to end than a process: its sandboxes are removed through the API first, and whatever then still names its hot
 * folder in its arguments is killed. That folder's name is random, so it can only be ours.
 *
 * Not handled: a command that is killed itself; its daemon then runs on.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { orAborted, ResourceStack, withDeadline } from '../base/index.js';
import type { BoughEvent } from '../contract/index.js';
import { Bough } from '../sdk/index.js';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
/** For one that hangs: one that ends is noticed at once. A busy machine takes half a minute. */
const START_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 15_000;
const CLEANUP_CALL_MS = 15_000;
const LOG_TAIL_LINES = 20;

type Environment = Readonly<Record<string, string | undefined>>;

/** A running daemon; `stop()` is idempotent and leaves its sandboxes running. */
export interface OwnDaemon {
  readonly url: string;
  readonly client: Bough;
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

/** `close()` is idempotent: it ends the daemon and everything it started, and removes its folders. */
export interface ThrowawayDaemon extends OwnDaemon {
  readonly close: () => Promise<void>;
}

export interface OwnDaemonOptions {
  /** For a daemon whose environment or flags name a token file. */
  readonly token?: string | undefined;
  /** Ends the wait for the start, not the daemon. */
  readonly signal?: AbortSignal | undefined;
  /** Is told of what happens in the daemon, calls excepted. */
  readonly onEvent?: ((event: BoughEvent) => void) | undefined;
}

/** Starts `bough serve` with these flags; rejects with the end of its log when it does not come up, and it is gone then. */
export async function startOwnDaemon(
  flags: readonly string[],
  env: Environment,
  { token, signal, onEvent }: OwnDaemonOptions = {},
): Promise<OwnDaemon> {
  const args = [MAIN, 'serve', ...flags, '--listen', '127.0.0.1:0'];
  // A session of its own: an interrupt at the terminal ends the command, and the command ends the daemon.
  const child = spawn(process.execPath, args, {
    env,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    detached: true,
  });
  await once(child, 'spawn');
  const stop = (): Promise<void> => stopProcess(child);
  try {
    signal?.throwIfAborted();
    if (onEvent !== undefined) child.on('message', onEvent);
    const listening = orAborted(addressOf(child), signal);
    const url = await withDeadline(listening, START_DEADLINE_MS, 'The start of the daemon');
    return { url, client: new Bough({ url, token }), pid: child.pid ?? -1, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The same over empty folders of its own, besides which only the cache is anybody else's. */
export async function startThrowawayDaemon(
  cacheDir: string,
  env: Environment,
  { flags = [], ...options }: OwnDaemonOptions & { readonly flags?: readonly string[] } = {},
): Promise<ThrowawayDaemon> {
  await using undo = new ResourceStack();
  const stateDir = await mkdtemp(join(tmpdir(), 'bough-throwaway-'));
  undo.defer(() => rm(stateDir, { recursive: true, force: true }));
  const hotDir = `/dev/shm/bough-throwaway-${randomBytes(6).toString('hex')}`;
  undo.defer(() => rm(hotDir, { recursive: true, force: true }));
  undo.defer(() => killAllNaming(hotDir));
  const folders = ['--state-dir', stateDir, '--hot-dir', hotDir, '--cache-dir', cacheDir];
  const daemon = await startOwnDaemon([...folders, ...flags], withoutSettings(env), options);
  undo.defer(daemon.stop);
  undo.defer(() => removeSandboxes(daemon.client).catch(() => undefined));
  const kept = undo.move();
  return { ...daemon, close: () => kept.close() };
}

/** Where the daemon says that it listens; rejects with its last words if it ends instead. */
function addressOf(child: ChildProcess): Promise<string> {
  const tail: string[] = [];
  return new Promise((resolve, reject) => {
    child.on('message', (event: BoughEvent) => {
      if (event.name === 'daemon.listening') resolve(event.facts.address);
    });
    if (child.stderr === null) return;
    const lines = createInterface({ input: child.stderr });
    lines.on('line', (line) => {
      tail.push(line);
      if (tail.length > LOG_TAIL_LINES) tail.shift();
    });
    lines.once('close', () => reject(new Error(`The daemon did not start: ${lastWords(tail)}`)));
  });
}

/** What the command said last for people, with its hint, or else the last of its log. */
function lastWords(log: readonly string[]): string {
  const at = log.findLastIndex((line) => line.startsWith('error: '));
  if (at < 0) return log.at(-1) ?? 'it printed nothing';
  return log.slice(at).join('\n').slice('error: '.length);
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
  await exited;
  clearTimeout(late);
}

function withoutSettings(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('BOUGH_')));
}

async function removeSandboxes(client: Bough): Promise<void> {
  const signal = AbortSignal.timeout(CLEANUP_CALL_MS);
  for (const { id } of await client.sandboxes.list({ signal })) await client.sandboxes.delete(id, { signal });
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
