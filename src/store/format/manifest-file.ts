/**
 * A manifest on disk: `manifest.json`, and `manifest.sha256` with its checksum in the form `sha256sum -c`
 * reads.
 *
 * The checksum is checked before anything else is believed, the version before anything of its content: a
 * flipped bit must not look like a newer version.
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { constants, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errorCode, failpoint } from '../../base/index.js';
import { StoreTooNew } from '../errors.js';
import { MANIFEST_VERSION, manifestSchema, type Manifest } from './manifest.js';

export const MANIFEST_FILE = 'manifest.json';
export const MANIFEST_CHECKSUM_FILE = 'manifest.sha256';

/**
 * Why a manifest cannot be believed; the message is a clause about it, such as `does not match its checksum`.
 */
export class BadManifest extends Error {
  override readonly name = 'BadManifest';
}

/**
 * Writes both files into a staging folder (they must not exist); `durable` also waits until they are on disk.
 */
export async function writeManifest(folder: string, manifest: Manifest, durable: boolean): Promise<void> {
  const text = `${JSON.stringify(manifest)}\n`;
  await writeNew(join(folder, MANIFEST_FILE), text, durable);
  await failpoint('manifest.unsigned');
  await writeNew(join(folder, MANIFEST_CHECKSUM_FILE), `${sha256(text)}  ${MANIFEST_FILE}\n`, durable);
}

/** Reads and checks a folder's manifest. Throws BadManifest, StoreTooNew, or the I/O error. */
export async function readManifest(folder: string): Promise<Manifest> {
  const text = await readOr(join(folder, MANIFEST_FILE), 'is missing');
  const checksum = await readOr(join(folder, MANIFEST_CHECKSUM_FILE), 'has no checksum file');
  if (checksum !== `${sha256(text)}  ${MANIFEST_FILE}\n`)
    throw new BadManifest('does not match its checksum');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new BadManifest('is not JSON', { cause: error });
  }
  const versioned = z.looseObject({ version: z.number() }).safeParse(json);
  if (versioned.success && versioned.data.version > MANIFEST_VERSION) {
    throw new StoreTooNew(folder, versioned.data.version, MANIFEST_VERSION);
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) throw new BadManifest(`is malformed: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

async function readOr(path: string, missing: string): Promise<string> {
  try {
    return await readFile(path, { encoding: 'utf8', flag: constants.O_RDONLY | constants.O_NOFOLLOW });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') throw new BadManifest(missing, { cause: error });
    if (errorCode(error) === 'ELOOP') throw new BadManifest('is a symbolic link', { cause: error });
    throw error;
  }
}

async function writeNew(path: string, text: string, durable: boolean): Promise<void> {
  if (!durable) {
    // On tmpfs, where that takes less than handing it to a thread.
    writeFileSync(path, text, { flag: 'wx', mode: 0o600 });
    return;
  }
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}
