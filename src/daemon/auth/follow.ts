/**
 * Files that may change while the daemon runs: looked at every second, and at once when the daemon gets a SIGHUP.
 *
 * They are looked at by path, so that it does not matter whether a file is written, replaced, or a link to another one.
 */
import { unwatchFile, watchFile } from 'node:fs';

const LOOK_EVERY_MS = 1_000;

export interface Following {
  /** Idempotent. */
  close(): void;
}

/** Calls `onChange`, which never rejects, after each change of one of the files; one call at a time, and one after the last change. */
export function followFiles(paths: readonly string[], onChange: () => Promise<void>): Following {
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
  for (const path of paths) watchFile(path, { interval: LOOK_EVERY_MS, persistent: false }, look);
  process.on('SIGHUP', look);
  return {
    close: () => {
      for (const path of paths) unwatchFile(path, look);
      process.off('SIGHUP', look);
    },
  };
}
