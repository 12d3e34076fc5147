/**
 * A snapshot by way of a registry: between the file that a daemon gives or takes and the layout that skopeo copies.
 *
 * One folder of this user's cache, for one copy at a time. What was fetched stays in it until it was taken in, so that who tries again
 * fetches only what is missing. Passwords of registries stay with who types them: the daemon has nothing to do with it.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, isNoRoom, lockFile, LockHeld, ResourceStack } from '../base/index.js';
import type { OnArrival } from './arrival.js';
import { BadSnapshotArchive, RegistryFailed, SnapshotUntrusted } from './errors.js';
import { digestOf, manifestSchema, MAX_MANIFEST_BYTES, parsed, type ArtifactManifest } from './format.js';
import type { Keyring } from './keys.js';
import { openLayout, readBlob, saveLayout } from './layout.js';
import { archiveBytes, archiveOf, type Layout } from './pack.js';
import {
  fetchSignature,
  pullLayout,
  pushLayout,
  readManifest,
  type PulledNames,
  type RegistryOptions,
} from './registry.js';
import type { Remote } from './remote.js';
import { IncomingSnapshot, judged, requireTrust, type Trust, type Verdict } from './unpack.js';

export interface ByRegistryOptions extends RegistryOptions {
  /** Of this user's cache. */
  readonly workDir: string;
}

const ANYBODY = { keyring: { trusted: new Map<string, never>() }, allowUnsigned: true };

/** What was sent. */
export interface Pushed {
  readonly digest: string;
  /** Fingerprint of the key that its signature names. */
  readonly claimedBy: string | undefined;
}

/** Sends a snapshot that comes as one file; `onSent` is told how much has gone of all that might: what is there is not sent. Throws RegistryFailed, ProgramMissing, BadSnapshotArchive for a file that is cut off. */
export async function pushSnapshot(
  bytes: AsyncIterable<Uint8Array>,
  remote: Remote,
  { onSent, ...options }: ByRegistryOptions & { readonly onSent?: OnArrival | undefined },
): Promise<Pushed> {
  await using undo = new ResourceStack();
  const dir = join(await takeFolder(options.workDir, undo), 'leaving');
  await removeLayout(dir);
  undo.defer(() => removeLayout(dir));
  const incoming = await IncomingSnapshot.open(bytes, ANYBODY);
  await saveLayout(incoming, dir).catch((cause: unknown) => {
    if (!isNoRoom(errorCode(cause))) throw cause;
    throw new RegistryFailed('no_space', `There is no room for the snapshot in ${options.workDir}`, {
      cause,
    });
  });
  const { digest, claimedBy, config } = incoming;
  const totalBytes = await sizeIn(dir, digest);
  const onWritten = onSent && ((sent: number) => onSent(sent, totalBytes));
  const what = { tag: config.tag, digest, isSigned: claimedBy !== undefined };
  await pushLayout(dir, what, remote, { ...options, onWritten });
  return { digest, claimedBy };
}

/** All that a registry may have to be sent. Throws for a config that one would take, and from which nobody could fetch it. */
async function sizeIn(dir: string, digest: string): Promise<number> {
  const manifest = parsed(manifestSchema, await readBlob(dir, digest), 'the manifest');
  const { config } = manifest;
  if (config.size > MAX_MANIFEST_BYTES)
    throw new RegistryFailed(
      'failed',
      `Its memory lies in too many places: ${config.size} bytes describe it, and clients of registries take ${MAX_MANIFEST_BYTES}; send it as a file (\`bough export\`)`,
    );
  return bytesOfBlobs(manifest);
}

/** Of its parts, each once. */
function bytesOfBlobs({ config, layers }: ArtifactManifest): number {
  const blobs = new Map([config, ...layers].map(({ digest, size }) => [digest, size]));
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}

/** A snapshot that was fetched, as one file. */
export interface Pulled {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Removes what was fetched: it was taken in, or is of no use. */
  forget(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Fetches one; with `trust` its signature first, and no more where that is not to be believed, which is for whoever takes it in to decide
 * all the same. Throws RegistryFailed, ProgramMissing, SnapshotUntrusted, BadSnapshotArchive for what is no snapshot.
 */
export async function pullSnapshot(
  remote: Remote,
  {
    trust,
    ...options
  }: ByRegistryOptions & { readonly trust?: Trust | undefined; readonly onArrival?: OnArrival | undefined },
): Promise<Pulled> {
  await using undo = new ResourceStack();
  const dir = join(await takeFolder(options.workDir, undo), 'arriving');
  const isNew = (await mkdir(dir, { recursive: true, mode: 0o700 })) !== undefined;
  const onSigned = async (names: PulledNames): Promise<void> => {
    if (trust !== undefined) requireTrust(await verdictIn(dir, names, trust.keyring), trust);
  };
  const fetched = async (): Promise<Layout> => {
    const { digest, signatureDigest } = await pullLayout(remote, dir, { ...options, onSigned });
    return openLayout(dir, digest, signatureDigest);
  };
  const layout = await fetched().catch(async (error: unknown) => {
    // What an earlier pull has left is still to be had by one that may take it.
    if (error instanceof BadSnapshotArchive || (isNew && error instanceof SnapshotUntrusted))
      await removeLayout(dir);
    throw error;
  });
  const held = undo.move();
  return {
    ...{ digest: layout.digest, sizeBytes: archiveBytes(layout), bytes: archiveOf(layout) },
    forget: () => removeLayout(dir),
    [Symbol.asyncDispose]: () => held.close(),
  };
}

/** What a registry says of a snapshot, without fetching it. */
export interface RemoteFacts {
  readonly digest: string;
  /** Fingerprint of the trusted key that has signed it. */
  readonly signedBy: string | undefined;
  /** Fingerprint of the key that its signature names, trusted or not. */
  readonly claimedBy: string | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  readonly chunks: number;
  /** To be fetched where nothing of it is. */
  readonly bytes: number;
}

export async function inspectSnapshot(
  remote: Remote,
  keyring: Pick<Keyring, 'trusted'>,
  options: ByRegistryOptions,
): Promise<RemoteFacts> {
  await using undo = new ResourceStack();
  const bytes = await readManifest(remote, options);
  const manifest = parsed(manifestSchema, bytes, 'the manifest');
  const { layers, annotations = {} } = manifest;
  const digest = digestOf(bytes);
  await mkdir(options.workDir, { recursive: true, mode: 0o700 });
  const dir = await mkdtemp(join(options.workDir, '.signature-'));
  undo.defer(() => rm(dir, { recursive: true, force: true }));
  const signatureDigest = await fetchSignature(remote, digest, dir, options);
  const verdict = await verdictIn(dir, { digest, signatureDigest }, keyring);
  return {
    ...{ digest, annotations, signedBy: undefined, claimedBy: undefined, ...verdict },
    ...{ chunks: layers.length, bytes: bytesOfBlobs(manifest) },
  };
}

async function verdictIn(
  dir: string,
  { digest, signatureDigest }: PulledNames,
  keyring: Pick<Keyring, 'trusted'>,
): Promise<Verdict> {
  if (signatureDigest === undefined) return {};
  const signature = await readBlob(dir, signatureDigest);
  return judged(digest, signature, (blob) => readBlob(dir, blob.digest), keyring);
}

const removeLayout = (dir: string): Promise<void> => rm(dir, { recursive: true, force: true });

/** Makes the folder and locks it for as long as the stack is open. */
async function takeFolder(workDir: string, undo: ResourceStack): Promise<string> {
  await mkdir(workDir, { recursive: true, mode: 0o700 });
  try {
    undo.use(await lockFile(join(workDir, 'lock')));
  } catch (error) {
    if (!(error instanceof LockHeld)) throw error;
    throw new RegistryFailed(
      'busy',
      `Another push or pull of this user is under way (process ${error.holder})`,
    );
  }
  return workDir;
}
