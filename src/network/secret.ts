/**
 * Secrets: what each is called, where it may go, and how it is written into a request. Their folder is the only place where values are.
 *
 *   <folder>/<name>.json     0600; without a value once it was removed
 *
 * What a removed secret was bound to stays, so that its hosts are refused to who was to send it, rather than reached without it.
 *
 * Not handled: secrets for addresses, or for the host of a sandbox; they are sent over TLS to a name.
 */
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { namesIn, removeUnfinished, writeFileAtomic } from '../base/index.js';
import { matchesName, parsePattern, type NamePattern } from './name.js';
import { HOST_NAME } from './rule.js';

const DEFAULT_PORT = 443;
const SUFFIX = '.json';

/** Of the framing of a request, or of what is between two hops of its way: whoever set these could smuggle another one. */
const RESERVED_HEADERS = new Set([
  ...['host', 'content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'te', 'trailer'],
  ...['expect', 'proxy-connection', 'proxy-authorization', 'http2-settings'],
]);

const fileSchema = z.strictObject({
  name: z.string(),
  hosts: z.array(z.string()),
  header: z.string(),
  format: z.string(),
  updatedAtUnix: z.number(),
  value: z.string().optional(),
});
/** A secret as its file has it; one without a value was removed. */
export type SecretFile = z.infer<typeof fileSchema>;

/** A name, or names, and a port there. */
export interface SecretHost {
  readonly pattern: NamePattern;
  readonly port: number;
}

/** `api.example.com`, `*.example.com:8443`; the problem as the end of a sentence if it is not one. */
export function parseSecretHost(text: string): SecretHost | { problem: string } {
  const [, name = '', digits] = /^(.*?)(?::(\d{1,5}))?$/s.exec(text) ?? [];
  const port = digits === undefined ? DEFAULT_PORT : Number(digits);
  const pattern = parsePattern(name);
  if (pattern === undefined)
    return { problem: 'is no name: a secret is sent to names, such as api.example.com' };
  if (pattern.suffix === HOST_NAME)
    return { problem: 'is the host of the sandbox, which is not reached over TLS' };
  if (port < 1 || port > 65_535) return { problem: 'has a port that cannot be' };
  return { pattern, port };
}

/** Why a request cannot be given such a header; undefined if it can. */
export function headerProblem(header: string): string | undefined {
  return RESERVED_HEADERS.has(header.toLowerCase())
    ? 'is of how requests are framed or passed on'
    : undefined;
}

/** Whether the secret is for requests to this name, in its one form, and port. */
export function isBoundTo({ hosts }: Pick<SecretFile, 'hosts'>, name: string, port: number): boolean {
  return hosts.some((text) => {
    const host = parseSecretHost(text);
    return !('problem' in host) && host.port === port && matchesName(host.pattern, name);
  });
}

/** All of a folder, which need not exist, by name. Throws for a file that is not what it should be. */
export async function readSecrets(folder: string): Promise<SecretFile[]> {
  const names = (await namesIn(folder)).filter((name) => name.endsWith(SUFFIX) && !name.startsWith('.'));
  return Promise.all(names.sort().map((name) => readSecret(join(folder, name))));
}

async function readSecret(path: string): Promise<SecretFile> {
  const text = await readFile(path, 'utf8');
  try {
    return fileSchema.parse(JSON.parse(text));
  } catch {
    // Without its cause, which may have a part of the file in it.
    throw new Error(`${path} is no secret's file`);
  }
}

/** Makes the folder fit for secrets, and removes what a process that was killed left in it. */
export async function prepareSecretsFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  await removeUnfinished(folder);
}

/** Replaces the secret's file in one step. */
export function writeSecret(folder: string, secret: SecretFile): Promise<void> {
  const path = join(folder, `${secret.name}${SUFFIX}`);
  return writeFileAtomic(path, `${JSON.stringify(secret)}\n`, { mode: 0o600, durable: true });
}
