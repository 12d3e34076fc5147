/**
 * An exclusive lock on a path which ends with the process that holds it, however that process ends.
 *
 * Node has no flock(2), but the lock belongs to the open file description, not to the process that made the
 * call: util-linux's `flock` is run once with our descriptor as its fd 3, takes the lock and exits, and the
 * lock stays until our descriptor is closed. The descriptor is close-on-exec, so no child of ours can keep
 * the lock alive. The file holds the pid for the error message; whoever acts on it makes sure first that this
 * process has the file open, since a pid outlives its process. The file is never removed (removing it would
 * let two holders lock two inodes).
 *
 * Not handled: network file systems without lock support; the attempt fails there with flock's own message.
 */
import { spawn } from 'node:child_process';
import { constants, open, readdir, readFile, stat, type FileHandle } from 'node:fs/promises';
import { errorCode } from './errno.js';

/** Thrown when another process holds the lock; `holder` is what it wrote into the file, usually its pid. */
export class LockHeld extends Error {
  override readonly name = 'LockHeld';
  readonly path: string;
  readonly holder: string;

  constructor(path: string, holder: string) {
    super(`Cannot lock ${path}: held by ${holder === '' ? 'another process' : `process ${holder}`}`);
    this.path = path;
    this.holder = holder;
  }
}

/** A held lock; `close()` releases it and is idempotent. */
export interface FileLock {
  readonly path: string;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const FLOCK_CONFLICT_STATUS = 75;

/**
 * Takes the lock on `path`, creating the file (0600) if needed; throws LockHeld at once if someone else has
 * it.
 */
export async function lockFile(path: string): Promise<FileLock> {
  const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    const { status, message } = await runFlock(file);
    if (status === FLOCK_CONFLICT_STATUS) throw new LockHeld(path, await readHolder(file));
    if (status !== 0)
      throw new Error(`Cannot lock ${path}: flock exited with ${status ?? 'a signal'}: ${message}`);
    await file.truncate(0);
    await file.write(`${process.pid}\n`, 0);
  } catch (error) {
    await file.close();
    throw error;
  }
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= file.close());
  return { path, close, [Symbol.asyncDispose]: close };
}

/**
 * The process that holds the lock on `path`, found without taking it: undefined if there is none, or none
 * that can be seen from here. Rejects with the kernel's error where this user may not look.
 */
export async function lockHolder(path: string): Promise<number | undefined> {
  try {
    const pid = Number(await readFile(path, 'latin1'));
    return Number.isInteger(pid) && pid > 0 && (await hasOpen(pid, path)) ? pid : undefined;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function hasOpen(pid: number, path: string): Promise<boolean> {
  const { dev, ino } = await stat(path);
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    const opened = await stat(`/proc/${pid}/fd/${fd}`).catch(() => undefined);
    if (opened?.dev === dev && opened.ino === ino) return true;
  }
  return false;
}

async function readHolder(file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(32), 0, 32, 0);
  return buffer.subarray(0, bytesRead).toString('latin1').trim();
}

function runFlock(file: FileHandle): Promise<{ status: number | null; message: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('flock', ['-x', '-n', '-E', String(FLOCK_CONFLICT_STATUS), '3'], {
      stdio: ['ignore', 'ignore', 'pipe', file.fd],
    });
    let message = '';
    child.stderr
      ?.setEncoding('utf8')
      .on('data', (chunk: string) => (message = (message + chunk).slice(0, 1024)));
    child.once('error', (error) =>
      reject(new Error('Cannot run flock (Debian package util-linux)', { cause: error })),
    );
    child.once('close', (status) => resolve({ status, message: message.trim() }));
  });
}
