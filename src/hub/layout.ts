/**
 * A snapshot as a folder: an OCI layout whose files are known, so that it can be sent as one file, or by a registry's client.
 *
 * `saveLayout` makes one of a file as it comes, `openLayout` finds one among blobs that somebody else has put into a folder.
 */
import { mkdir, open, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../base/index.js';
import { BadSnapshotArchive } from './errors.js';
import { writeBlob } from './chunks.js';
import {
  blobName,
  configSchema,
  digestOf,
  indexOf,
  LAYOUT_TEXT,
  MANIFEST_TYPE,
  manifestSchema,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  parsed,
  signatureManifestSchema,
  type Descriptor,
} from './format.js';
import type { Layout } from './pack.js';
import type { IncomingSnapshot } from './unpack.js';

/** Writes what comes into `dir`, which must be empty, for a program that copies layouts. */
export async function saveLayout(incoming: IncomingSnapshot, dir: string): Promise<void> {
  await mkdir(join(dir, 'blobs/sha256'), { recursive: true, mode: 0o700 });
  for await (const { name, bytes } of incoming.members()) {
    if (name.startsWith('blobs/')) await writeBlob(dir, digestOf(bytes), bytes);
    else await writeFile(join(dir, name), bytes, { mode: 0o600 });
  }
}

/** The snapshot of that digest among the blobs in `dir`, and its signature if there is one. Throws BadSnapshotArchive. */
export async function openLayout(
  dir: string,
  digest: string,
  signatureDigest: string | undefined,
): Promise<Layout> {
  const manifestBytes = await readBlob(dir, digest, MAX_MANIFEST_BYTES);
  const manifest = parsed(manifestSchema, manifestBytes, 'the manifest');
  const configBytes = await readBlob(dir, manifest.config.digest, MAX_CONFIG_BYTES);
  const { tag } = parsed(configSchema, configBytes, 'the config');
  const named = { mediaType: MANIFEST_TYPE, digest, size: manifestBytes.length };
  const signing: Descriptor[] = [];
  if (signatureDigest !== undefined) {
    const bytes = await readBlob(dir, signatureDigest, MAX_MANIFEST_BYTES);
    const signature = parsed(signatureManifestSchema, bytes, 'the signature');
    signing.push(
      { mediaType: MANIFEST_TYPE, digest: signatureDigest, size: bytes.length },
      signature.config,
      ...signature.layers,
    );
  }
  const index = indexOf(tag, named, signing[0]);
  const blobs = [named, ...signing, manifest.config, ...manifest.layers];
  const sizes = new Map(blobs.map((each) => [each.digest, each.size]));
  for (const [each, bytes] of sizes) await checkSize(dir, each, bytes);
  return {
    ...{ dir, digest, signedBy: undefined },
    members: [
      { name: 'oci-layout', bytes: LAYOUT_TEXT.length, content: Buffer.from(LAYOUT_TEXT) },
      { name: 'index.json', bytes: index.length, content: index },
      ...[...sizes].map(([each, bytes]) => ({ name: blobName(each), bytes })),
    ],
  };
}

/** A document that is what its name says. */
export async function readBlob(dir: string, digest: string, maxBytes = MAX_MANIFEST_BYTES): Promise<Buffer> {
  const file = await open(join(dir, blobName(digest))).catch((error: unknown) => {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw new BadSnapshotArchive(`the blob ${digest} is missing`);
  });
  try {
    if ((await file.stat()).size > maxBytes)
      throw new BadSnapshotArchive(`the blob ${digest} is larger than ${maxBytes} bytes`);
    const bytes = await file.readFile();
    if (digestOf(bytes) === digest) return bytes;
    throw new BadSnapshotArchive(`the blob ${digest} holds something else`);
  } finally {
    await file.close();
  }
}

async function checkSize(dir: string, digest: string, bytes: number): Promise<void> {
  const found = await stat(join(dir, blobName(digest))).catch(() => undefined);
  if (found?.size !== bytes)
    throw new BadSnapshotArchive(`the blob ${digest} has ${found?.size ?? 'no'} bytes, not ${bytes}`);
}
