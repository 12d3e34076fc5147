/**
 * Snapshots in a registry, by skopeo: it copies a layout there and back, knows the passwords of people, and sends no blob that is there.
 *
 *     host/repository:name                       the snapshot
 *     host/repository:sha256-<digest>.sig        its signature
 *
 * What comes is checked by skopeo against its digests, and again by whoever takes it in: nothing here is believed.
 * A copy that broke off leaves whole blobs, which the next one does not fetch again.
 *
 * Not handled: registries that know which artifacts refer to another (the referrers API); the tag serves with all of them.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { watchArrival, type OnArrival } from './arrival.js';
import { RegistryFailed } from './errors.js';
import { digestOf, REF_NAME, signatureTag } from './format.js';
import { hostOf, type Remote } from './remote.js';
import { skopeo, unfinishedBlobs, type SkopeoOptions } from './skopeo.js';

const SNAPSHOT_TAG = 'snapshot';

export interface RegistryOptions extends Omit<SkopeoOptions, 'layoutDir'> {
  /** As `docker login` writes it; default: where Podman and Docker keep theirs. */
  readonly authFile?: string | undefined;
}

/** Sends a layout that `saveLayout` made, and asks for what it sent. Throws RegistryFailed, ProgramMissing. */
export async function pushLayout(
  dir: string,
  { tag, digest, isSigned }: { readonly tag: string; readonly digest: string; readonly isSigned: boolean },
  remote: Remote,
  { onWritten, ...options }: RegistryOptions = {},
): Promise<void> {
  const push = (from: string, name: string, told?: RegistryOptions['onWritten']): Promise<string> =>
    copy(access('dest-', remote, options), [`oci:${dir}:${from}`, transport(remote, name)], remote, {
      ...options,
      onWritten: told,
    });
  // Whoever finds the snapshot there finds its signature.
  if (isSigned) await push(signatureTag(digest), signatureTag(digest));
  await push(tag, remote.name, onWritten);
  const found = await readManifest(remote, options).catch(undefinedIfMissing);
  if (found === undefined || digestOf(found) !== digest)
    throw new RegistryFailed(
      'failed',
      `${hostOf(remote)} has taken ${remote.repository}:${remote.name}, and does not have it`,
    );
}

/** What a layout has of a snapshot. */
export interface PulledNames {
  readonly digest: string;
  readonly signatureDigest: string | undefined;
}

/**
 * Fetches what is not in the layout yet; says which blobs are the snapshot and its signature. No other is asked for before `onSigned` has
 * looked at these. Throws RegistryFailed, ProgramMissing, or what `onSigned` throws.
 */
export async function pullLayout(
  remote: Remote,
  dir: string,
  {
    onSigned,
    onArrival,
    ...options
  }: RegistryOptions & {
    readonly onSigned?: (names: PulledNames) => Promise<void>;
    readonly onArrival?: OnArrival | undefined;
  } = {},
): Promise<PulledNames> {
  await removeUnfinished(dir);
  const manifest = await readManifest(remote, options);
  const digest = digestOf(manifest);
  const names = { digest, signatureDigest: await fetchSignature(remote, digest, dir, options) };
  await onSigned?.(names);
  // By its digest: the name may lead to another one by now.
  const watching = onArrival && watchArrival(dir, manifest, onArrival);
  try {
    await pull({ ...remote, name: digest }, dir, SNAPSHOT_TAG, options);
  } finally {
    await watching?.stop();
  }
  return names;
}

/** Fetches the signature of a snapshot into the layout; says which blob it is, undefined where there is none. */
export async function fetchSignature(
  remote: Remote,
  digest: string,
  dir: string,
  options: RegistryOptions = {},
): Promise<string | undefined> {
  const name = signatureTag(digest);
  const found = await pull({ ...remote, name }, dir, name, options).catch(undefinedIfMissing);
  return found === undefined ? undefined : await digestNamed(dir, name);
}

function undefinedIfMissing(error: unknown): undefined {
  if (!(error instanceof RegistryFailed && error.kind === 'missing')) throw error;
}

const pull = (remote: Remote, dir: string, as: string, options: RegistryOptions): Promise<string> =>
  copy(access('src-', remote, options), [transport(remote, remote.name), `oci:${dir}:${as}`], remote, {
    ...options,
    layoutDir: dir,
  });

const copy = (
  flags: readonly string[],
  fromTo: readonly string[],
  remote: Remote,
  options: SkopeoOptions,
): Promise<string> =>
  skopeo(['copy', '--quiet', '--preserve-digests', '--retry-times=2', ...flags], fromTo, remote, options);

/** The manifest in the registry, as it is. Throws RegistryFailed, ProgramMissing. */
export async function readManifest(remote: Remote, options: RegistryOptions = {}): Promise<Buffer> {
  const args = ['inspect', '--raw', '--retry-times=2', ...access('', remote, options)];
  const text = await skopeo(args, [transport(remote, remote.name)], remote, options);
  return Buffer.from(text);
}

/** By its name, or by its digest. */
const transport = ({ repository }: Remote, name: string): string =>
  `docker://${repository}${name.includes(':') ? '@' : ':'}${name}`;

/** Without TLS only on the loopback, where nobody else can be between. */
function access(prefix: string, { repository }: Remote, { authFile }: RegistryOptions): string[] {
  const plain = /^(localhost|127\.[0-9.]+|\[::1\])(:\d+)?\//.test(repository);
  return [
    ...(plain ? [`--${prefix}tls-verify=false`] : []),
    ...(authFile === undefined ? [] : [`--${prefix}authfile=${authFile}`]),
  ];
}

const indexSchema = z.object({
  manifests: z.array(
    z.object({
      digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
      annotations: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

async function digestNamed(dir: string, name: string): Promise<string | undefined> {
  const { manifests } = indexSchema.parse(JSON.parse(await readFile(join(dir, 'index.json'), 'utf8')));
  return manifests.find(({ annotations }) => annotations?.[REF_NAME] === name)?.digest;
}

async function removeUnfinished(dir: string): Promise<void> {
  for (const name of ['index.json', ...(await unfinishedBlobs(dir))])
    await rm(join(dir, name), { force: true });
}
