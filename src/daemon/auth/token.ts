/**
 * The one token of `--token-file`: read once from a file that nobody else can read, kept only as a digest. It may do everything.
 *
 * Invariant: comparing takes the same time for every wrong token, whatever its length, because digests are
 * compared. Not handled: replacing it while the daemon runs; tokens-file.ts is for that.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import { messageOf } from '../../base/index.js';
import { ConfigError } from '../config.js';
import { readPrivateFile } from './private-file.js';

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
  const expected = digestOf(token);
  return (presented) => timingSafeEqual(digestOf(presented), expected);
}

/** What is kept and compared of a token: it is random, so no slower digest hides it better. */
export function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

async function readTokenFile(path: string): Promise<string> {
  const refuse = (problem: string, cause?: unknown) =>
    new ConfigError(`Cannot use the token file ${path}: ${problem}`, { cause });
  const text = await readPrivateFile(path, maxFileBytes).catch((error: unknown) => {
    throw refuse(messageOf(error), error);
  });
  const token = text.trim();
  if (token.length < minLength)
    throw refuse(`the token has ${token.length} characters and needs at least ${minLength}`);
  if (!/^[\x21-\x7e]+$/.test(token)) throw refuse('the token must be printable ASCII without spaces');
  if (new Set(token).size < 8) throw refuse('the token is a placeholder, not random');
  return token;
}
