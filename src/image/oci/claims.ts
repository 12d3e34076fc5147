/**
 * What the index of an OCI layout claims of the manifests in it.
 *
 * skopeo checks what a manifest names against its digest, but of a layout or an archive of one it takes the manifest itself as it lies
 * there. So each document that the index leads to is read here first, and must have the digest and the size that it is listed with.
 *
 * Not handled: documents that are listed but not there, as a layout of one platform may have them; skopeo misses what it needs itself.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errorCode } from '../../base/index.js';
import { ImageBuildFailed } from '../errors.js';
import { PDEATHSIG } from '../host-tools.js';

/** Manifests and configurations are kilobytes. */
export const MAX_DOCUMENT_BYTES = 4 << 20;
const MAX_DOCUMENTS = 1000;

export const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const descriptorSchema = z.object({ digest: digestSchema, size: z.int().nonnegative() });
/** An index has `manifests`, a manifest has none. */
const documentSchema = z.object({ manifests: z.array(descriptorSchema).default([]) });

/** Returns what is in the layout under that name; undefined when there is nothing. */
type Read = (name: string) => Promise<Buffer | undefined>;

/** Checks the source of a copy, where it is a layout. Throws ImageBuildFailed naming what is not as claimed. */
export async function checkClaims(from: string, signal?: AbortSignal): Promise<void> {
  const read = readerOf(from, signal);
  if (read === undefined) return;
  const unchecked = manifestsIn(await read('index.json'), from);
  let count = 0;
  for (let claimed = unchecked.pop(); claimed !== undefined; claimed = unchecked.pop()) {
    signal?.throwIfAborted();
    if (++count > MAX_DOCUMENTS)
      throw new ImageBuildFailed(
        `Cannot import ${from}: more than ${MAX_DOCUMENTS} manifests are listed in it`,
      );
    const bytes = await read(`blobs/sha256/${claimed.digest.slice('sha256:'.length)}`);
    if (bytes === undefined) continue;
    checkBytes(bytes, claimed, from);
    unchecked.push(...manifestsIn(bytes, from));
  }
}

function checkBytes(bytes: Buffer, claimed: z.infer<typeof descriptorSchema>, from: string): void {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if (digest === claimed.digest && bytes.length === claimed.size) return;
  throw new ImageBuildFailed(
    `Cannot import ${from}: the manifest ${claimed.digest} with ${claimed.size} bytes does not match what is there, ` +
      `${digest} with ${bytes.length} bytes`,
  );
}

function manifestsIn(bytes: Buffer | undefined, from: string): z.infer<typeof descriptorSchema>[] {
  if (bytes === undefined) throw new ImageBuildFailed(`Cannot import ${from}: there is no index.json in it`);
  try {
    return documentSchema.parse(JSON.parse(bytes.toString('utf8'))).manifests;
  } catch (cause) {
    throw new ImageBuildFailed(`Cannot import ${from}: its index is damaged`, { cause });
  }
}

/** `oci:PATH[:NAME]` and `oci-archive:PATH[:NAME]`. */
function readerOf(from: string, signal: AbortSignal | undefined): Read | undefined {
  const [, transport, path = ''] = /^(oci|oci-archive):([^:]*)/.exec(from) ?? [];
  if (transport === 'oci') return (name) => readDocument(join(path, name));
  return transport === undefined ? undefined : (name) => readMember(path, name, signal);
}

/** Undefined when there is none; throws ImageBuildFailed for what is no document. */
export async function readDocument(path: string): Promise<Buffer | undefined> {
  try {
    // A FIFO would keep open() until somebody writes to it.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const info = await file.stat();
      if (info.isFile() && info.size <= MAX_DOCUMENT_BYTES) return await file.readFile();
      throw new ImageBuildFailed(`Cannot import an image: ${path} is no document, with ${info.size} bytes`);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Two members of one name come one after the other, and match no digest. */
async function readMember(path: string, name: string, signal?: AbortSignal): Promise<Buffer | undefined> {
  const { execa } = await import('execa');
  for (const member of [name, `./${name}`]) {
    const { failed, stdout, isMaxBuffer } = await execa(
      'setpriv',
      [...PDEATHSIG, 'tar', '--extract', '--to-stdout', '--file', path, '--', member],
      {
        ...{ reject: false, stdin: 'ignore', encoding: 'buffer', maxBuffer: MAX_DOCUMENT_BYTES },
        ...(signal && { cancelSignal: signal }),
      },
    );
    signal?.throwIfAborted();
    if (isMaxBuffer)
      throw new ImageBuildFailed(
        `Cannot import an image: ${member} in ${path} is larger than ${MAX_DOCUMENT_BYTES} bytes`,
      );
    if (!failed) return Buffer.from(stdout);
  }
  return undefined;
}
