/**
 * What tells a daemon to stop: SIGTERM, SIGINT, SIGHUP where it has a terminal, and the end of the npm that started it.
 *
 * A daemon without a terminal has nothing a hangup could be about; `nohup` leaves it none. Whether nohup had the signal ignored cannot
 * be asked: Node gives every signal its default back when it starts.
 *
 * `npx bough serve` is three processes: npm, a shell, the daemon. npm passes a signal on to the shell, which
 * dies of it and leaves the daemon behind; an npm that is killed leaves both. So a daemon whose environment
 * says that npm runs it looks whether the two are still there. Whoever wants it to stay starts `bough serve`
 * itself.
 *
 * One Ctrl-C arrives more than once, from the terminal and from those between, so what follows within a
 * moment is the same one.
 */
import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';
import { errorCode, monotonicMs } from '../base/index.js';

const SAME_STOP_MS = 500;
const PARENT_POLL_MS = 500;

type Environment = Readonly<Record<string, string | undefined>>;

/** Resolves with what told the daemon to stop; from then on another signal exits at once. */
export async function stopSignal(env: Environment): Promise<string> {
  return new Promise((resolve) => {
    let toldAtMs: number | undefined;
    const onStop = (why: string): void => {
      clearInterval(parentPoll);
      if (toldAtMs !== undefined && monotonicMs() - toldAtMs > SAME_STOP_MS) process.exit(1);
      toldAtMs ??= monotonicMs();
      resolve(why);
    };
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onStop);
    // With no listener at all Node would end at once.
    process.on('SIGHUP', hasTerminal() ? onStop : () => undefined);
    const parentPoll = isRunByNpm(env) ? whenParentEnds(() => onStop('npm ended')) : undefined;
  });
}

function isRunByNpm({ npm_command: command }: Environment): boolean {
  return command === 'exec' || command === 'run-script' || command === 'run';
}

function whenParentEnds(onEnd: () => void): NodeJS.Timeout {
  const parents = parentsUpToNpm();
  const poll = setInterval(() => {
    const now = parentsUpToNpm();
    if (now !== undefined && now !== parents) onEnd();
  }, PARENT_POLL_MS);
  return poll.unref();
}

/**
 * The pids between: a shell's parent is npm, anything else is npm itself, or a shell that has become it. Undefined when it cannot
 * be told just now, as where no file descriptor is left.
 */
function parentsUpToNpm(): string | undefined {
  try {
    const [, name, parentPid] =
      /\((.*)\) \S (\d+)/s.exec(readFileSync(`/proc/${process.ppid}/stat`, 'latin1')) ?? [];
    return /^(sh|dash|bash)$/.test(name ?? '') ? `${process.ppid} ${parentPid}` : `${process.ppid}`;
  } catch (error) {
    return ['ENOENT', 'ESRCH'].includes(errorCode(error) ?? '') ? 'none' : undefined;
  }
}

function hasTerminal(): boolean {
  return [0, 1, 2].some((fd) => isatty(fd));
}
