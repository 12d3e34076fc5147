/** `bough serve` as a supervisor sees it: a process, where it listens, and how it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { withDeadline } from '../../src/base/index.js';
import type { BoughEvent } from '../../src/contract/index.js';
import type { TestFolders } from './test-host.js';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const DEADLINE_MS = 60_000;

/** How it ended: its exit status, or the signal that ended it, and all it said on stderr. */
export interface ServeEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export interface ServeProcess {
  readonly pid: number;
  /** Where it listens; undefined if it ends instead. */
  readonly url: Promise<string | undefined>;
  readonly ended: Promise<ServeEnd>;
}

/** Starts a daemon over these folders, on a free port. */
export function startServe({ stateDir, hotDir, cacheDir }: TestFolders): ServeProcess {
  const folders = ['--state-dir', stateDir, '--hot-dir', hotDir, '--cache-dir', cacheDir];
  const args = [MAIN, 'serve', ...folders, '--listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let stderr = '';
  const ended = once(child, 'close').then(() => ({
    status: child.exitCode,
    signal: child.signalCode,
    stderr,
  }));
  const listening = new Promise<string>((resolve) => {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('message', (event: BoughEvent) => {
      if (event.name === 'daemon.listening') resolve(event.facts.address);
    });
  });
  return {
    pid: child.pid ?? 0,
    url: withDeadline(Promise.race([listening, ended.then(() => undefined)]), DEADLINE_MS, 'The start'),
    ended: withDeadline(ended, DEADLINE_MS, 'The end of the daemon'),
  };
}
