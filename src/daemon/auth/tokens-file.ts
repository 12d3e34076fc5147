/**
 * The file with the tokens of a daemon: for each its name, what it may do, and a digest. `bough token` changes it, the daemon follows.
 *
 *   bough_<40 hex digits>    as it is given out, once
 *   e2b_<the same digits>    the same token, for clients that take no other form
 *
 * Invariant: a token is nowhere but with whoever was given it.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { errorCode, lockFile, messageOf, writeFileAtomic } from '../../base/index.js';
import { scopes, type Scope } from '../../contract/index.js';
import { ConfigError } from '../config.js';
import { readPrivateFile } from './private-file.js';
import { digestOf } from './token.js';

const MAX_FILE_BYTES = 1024 * 1024;
const RANDOM_BYTES = 20;
/** What the log calls callers that have no token of the file. */
const RESERVED = ['token', 'anonymous', 'daemon'];

const tokenSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  scope: z.enum(scopes),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  created_at_unix: z.int(),
});
const fileSchema = z.strictObject({ version: z.literal(1), tokens: z.array(tokenSchema) });

/** A token as it is kept. */
export type StoredToken = z.infer<typeof tokenSchema>;

/** The tokens of a file; undefined where there is none. Throws `ConfigError` for one that cannot be used. */
export async function readTokensFile(path: string): Promise<readonly StoredToken[] | undefined> {
  try {
    return fileSchema.parse(JSON.parse(await readPrivateFile(path, MAX_FILE_BYTES))).tokens;
  } catch (error) {
    // What is to be a folder and is none is for who makes that folder to tell.
    if (['ENOENT', 'ENOTDIR'].includes(String(errorCode((error as Error).cause)))) return undefined;
    const problem = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
    throw new ConfigError(`Cannot use the tokens file ${path}: ${problem}`, { cause: error });
  }
}

/** Makes a token, and the file with the first one; resolves with what to hand out. Throws `ConfigError` for a name that cannot be had. */
export async function addToken(path: string, name: string, scope: Scope): Promise<string> {
  const token = `bough_${randomBytes(RANDOM_BYTES).toString('hex')}`;
  const sha256 = digestOf(token).toString('hex');
  await change(path, (tokens) => {
    if (RESERVED.includes(name))
      throw new ConfigError(`No token can be named "${name}": callers without one are`);
    if (tokens.some((each) => each.name === name))
      throw new ConfigError(`A token named "${name}" exists already: remove it first`);
    return [...tokens, { name, scope, sha256, created_at_unix: Math.floor(Date.now() / 1000) }];
  });
  return token;
}

/** Takes a token out of the file, which stays even with none in it: a daemon that wants a token goes on wanting one. */
export async function removeToken(path: string, name: string): Promise<void> {
  await change(path, (tokens) => {
    const left = tokens.filter((each) => each.name !== name);
    if (left.length === tokens.length) throw new ConfigError(`No token is named "${name}"`);
    return left;
  });
}

/** A presented token in the form it was given out in. */
export function commonForm(presented: string): string {
  return presented.replace(/^e2b_(?=[0-9a-f]{40}$)/, 'bough_');
}

async function change(
  path: string,
  make: (tokens: readonly StoredToken[]) => readonly StoredToken[],
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const lock = await lockFile(`${path}.lock`);
  try {
    const tokens = make((await readTokensFile(path)) ?? []);
    await writeFileAtomic(path, `${JSON.stringify({ version: 1, tokens }, null, 2)}\n`, { durable: true });
  } finally {
    await lock.close();
  }
}
