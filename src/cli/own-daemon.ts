/**
 * A daemon for the length of one command: on a free port of the loopback, ended with the command.
 *
 * It is a process of its own, as a user's daemon is, so what a command measures through it is what users get.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bough } from '../sdk/client.js';

const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 15_000;
const LOG_TAIL_CHARACTERS = 4000;

/** A running daemon; `stop()` is idempotent and leaves its sandboxes running. */
export interface OwnDaemon {
  readonly url: string;
  readonly client: Bough;
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

/** Starts `bough serve` with these flags besides `--listen`. Rejects with the end of its log when it does not come up. */
export async function startOwnDaemon(
  flags: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<OwnDaemon> {
  const url = `http://127.0.0.1:${await freePort()}`;
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const args = [main, 'serve', '--listen', new URL(url).host, ...flags];
  // A session of its own: an interrupt at the terminal ends the command, and the command ends the daemon.
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  let log = '';
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (log = (log + text).slice(-LOG_TAIL_CHARACTERS)));
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
    await exited;
    clearTimeout(late);
  };
  const client = new Bough({ url });
  const deadline = performance.now() + START_DEADLINE_MS;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline) {
      await stop();
      throw new Error(`The daemon did not start: ${log.trim().split('\n').at(-1) ?? 'it printed nothing'}`);
    }
    try {
      await client.healthz();
      return { url, client, pid: child.pid ?? -1, stop };
    } catch {
      await sleep(20);
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
