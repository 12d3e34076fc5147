/**
 * Files that may change while the daemon runs: looked at every second, and at once when the daemon gets a SIGHUP.
 *
 * They are looked at by path, so that it does not matter whether a file is written, replaced, or a link to another one.
 * Invariant: who asks for the versions before it first reads the files misses no change after that, however soon it comes.
 */
import { stat } from 'node:fs/promises';

const LOOK_EVERY_MS = 1_000;

/** Which file is at each path, and when it was last changed. */
export type Versions = readonly string[];

export interface Following {
  /** Idempotent. */
  close(): void;
}

export function versionsOf(paths: readonly string[]): Promise<Versions> {
  return Promise.all(
    paths.map((path) =>
      stat(path, { bigint: true }).then(
        ({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join(),
        () => 'none that can be looked at',
      ),
    ),
  );
}

/** Calls `onChange`, which never rejects, after each change of one of the files; one call at a time, and one after the last change. */
export function followFiles(
  paths: readonly string[],
  since: Versions,
  onChange: () => Promise<void>,
): Following {
  let seen = since;
  let running: Promise<void> | undefined;
  let again = false;
  const look = (): void => {
    again = true;
    running ??= (async () => {
      while (again) {
        again = false;
        await onChange();
      }
    })().finally(() => (running = undefined));
  };
  const compare = async (): Promise<void> => {
    const versions = await versionsOf(paths);
    if (versions.join('\n') === seen.join('\n')) return;
    seen = versions;
    if (!isClosed) look();
  };
  let isClosed = false;
  const timer = setInterval(() => void compare(), LOOK_EVERY_MS).unref();
  void compare();
  process.on('SIGHUP', look);
  return {
    close: () => {
      isClosed = true;
      clearInterval(timer);
      process.off('SIGHUP', look);
    },
  };
}
