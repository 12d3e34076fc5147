/**
 * The token: read once from a file that nobody else can read, kept only as a digest.
 *
 * Invariant: comparing takes the same time for every wrong token, whatever its length, because digests are
 * compared. Not handled: replacing the token while the daemon runs.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { ConfigError } from '../config.js';

const minLength = 32;
const maxFileBytes = 4096;

/** Says whether a presented token is the right one. */
export type TokenCheck = (presented: string) => boolean;

/**
 * Reads the token file and returns the check for it. Throws `ConfigError` when it is missing, a symbolic
 * link, readable by others, owned by another user, or holds fewer than 32 characters.
 */
export async function loadTokenCheck(path: string): Promise<TokenCheck> {
  return tokenCheck(await readTokenFile(path));
}

/** A check for `token`. */
export function tokenCheck(token: string): TokenCheck {
  const expected = digest(token);
  return (presented) => timingSafeEqual(digest(presented), expected);
}

/** Reads a token from a file only its owner can read. Throws `ConfigError`. */
export async function readTokenFile(path: string): Promise<string> {
  const refuse = (problem: string, cause?: unknown) =>
    new ConfigError(`Cannot use the token file ${path}: ${problem}`, { cause });

  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    (error: unknown) => {
      throw refuse(openProblem(error), error);
    },
  );
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw refuse('it is not a regular file');
    const mode = stat.mode & 0o777;
    if (mode !== 0o600 && mode !== 0o400) {
      throw refuse(`its mode is 0${mode.toString(8)}, which must be 0600 or 0400`);
    }
    const uid = process.getuid?.();
    if (stat.uid !== uid && stat.uid !== 0) throw refuse(`it belongs to user ${stat.uid}`);
    if (stat.size > maxFileBytes) throw refuse(`it is larger than ${maxFileBytes} bytes`);
    const token = (await file.readFile('utf8')).trim();
    if (token.length < minLength) {
      throw refuse(`the token has ${token.length} characters and needs at least ${minLength}`);
    }
    if (!/^[\x21-\x7e]+$/.test(token)) throw refuse('the token must be printable ASCII without spaces');
    if (new Set(token).size < 8) throw refuse('the token is a placeholder, not random');
    return token;
  } finally {
    await file.close();
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function openProblem(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'it does not exist';
  if (code === 'ELOOP') return 'it is a symbolic link';
  if (code === 'EACCES') return 'it cannot be read by this user';
  return String(code ?? error);
}
