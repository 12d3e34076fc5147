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
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { errorCode, monotonicMs, startRounds, type Rounds } from '../base/index.js';
import { ProgramMissing, RegistryFailed } from './errors.js';
import { MAX_MANIFEST_BYTES, REF_NAME, signatureTag } from './format.js';

/** How long nothing may move. */
const STALL_MS = 120_000;
const STALL_POLL_MS = 1000;
/** What skopeo calls a blob in a layout before it is whole. */
const UNFINISHED_BLOB = 'oci-put-blob';
const SNAPSHOT_TAG = 'snapshot';

/** A snapshot in a registry. */
export interface Remote {
  /** With the registry's host: `registry.example/team/base`. */
  readonly repository: string;
  readonly name: string;
}

export interface RegistryOptions {
  /** As `docker login` writes it; default: where Podman and Docker keep theirs. */
  readonly authFile?: string | undefined;
  readonly stallMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** `registry.example/team/base:v1`. Throws RegistryFailed for anything without a registry or a name. */
export function remoteOf(text: string): Remote {
  const match =
    /^((?:localhost|[^/:\s]*[.:[][^/\s]*)(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+):([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$/.exec(
      text,
    );
  const [, repository, name] = match ?? [];
  if (repository === undefined || name === undefined)
    throw new RegistryFailed(
      'malformed',
      `Not a snapshot of a registry: ${JSON.stringify(text)}; one is like registry.example/team/base:v1`,
    );
  return { repository, name };
}

/** Sends a layout that `saveLayout` made. Throws RegistryFailed, ProgramMissing. */
export async function pushLayout(
  dir: string,
  { tag, digest, isSigned }: { readonly tag: string; readonly digest: string; readonly isSigned: boolean },
  remote: Remote,
  options: RegistryOptions = {},
): Promise<void> {
  const push = (from: string, name: string): Promise<string> =>
    copy(access('dest-', remote, options), [`oci:${dir}:${from}`, transport(remote, name)], remote, options);
  // Whoever finds the snapshot there finds its signature.
  if (isSigned) await push(signatureTag(digest), signatureTag(digest));
  await push(tag, remote.name);
}

/** Fetches what is not in the layout yet; says which blobs are the snapshot and its signature. Throws RegistryFailed, ProgramMissing. */
export async function pullLayout(
  remote: Remote,
  dir: string,
  options: RegistryOptions = {},
): Promise<{ digest: string; signatureDigest: string | undefined }> {
  await removeUnfinished(dir);
  await pull(remote, `${dir}:${SNAPSHOT_TAG}`, options);
  const digest = await digestNamed(dir, SNAPSHOT_TAG);
  if (digest === undefined)
    throw new RegistryFailed('failed', `skopeo left nothing of ${remote.repository}:${remote.name}`);
  return { digest, signatureDigest: await fetchSignature(remote, digest, dir, options) };
}

/** Fetches the signature of a snapshot into the layout; says which blob it is, undefined where there is none. */
export async function fetchSignature(
  remote: Remote,
  digest: string,
  dir: string,
  options: RegistryOptions = {},
): Promise<string | undefined> {
  const name = signatureTag(digest);
  try {
    await pull({ ...remote, name }, `${dir}:${name}`, options);
  } catch (error) {
    if (error instanceof RegistryFailed && error.kind === 'missing') return undefined;
    throw error;
  }
  return digestNamed(dir, name);
}

const pull = (remote: Remote, to: string, options: RegistryOptions): Promise<string> =>
  copy(access('src-', remote, options), [transport(remote, remote.name), `oci:${to}`], remote, options);

const copy = (
  flags: readonly string[],
  fromTo: readonly string[],
  remote: Remote,
  options: RegistryOptions,
): Promise<string> =>
  skopeo(['copy', '--quiet', '--preserve-digests', '--retry-times=2', ...flags], fromTo, remote, options);

/** The manifest in the registry, as it is. Throws RegistryFailed, ProgramMissing. */
export async function readManifest(remote: Remote, options: RegistryOptions = {}): Promise<Buffer> {
  const args = ['inspect', '--raw', '--retry-times=2', ...access('', remote, options)];
  const text = await skopeo(args, [transport(remote, remote.name)], remote, options);
  return Buffer.from(text);
}

const transport = ({ repository }: Remote, name: string): string => `docker://${repository}:${name}`;

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
  for (const name of await readdir(dir).catch(() => []))
    if (name.startsWith(UNFINISHED_BLOB) || name === 'index.json') await rm(join(dir, name), { force: true });
}

async function skopeo(
  args: readonly string[],
  rest: readonly string[],
  remote: Remote,
  { signal, stallMs = STALL_MS }: RegistryOptions,
): Promise<string> {
  const stalled = new AbortController();
  const running = execa('setpriv', ['--pdeathsig', 'KILL', '--', 'skopeo', ...args, '--', ...rest], {
    reject: false,
    stdin: 'ignore',
    stripFinalNewline: false,
    maxBuffer: MAX_MANIFEST_BYTES,
    killSignal: 'SIGKILL',
    env: { LC_ALL: 'C.UTF-8' },
    cancelSignal: signal === undefined ? stalled.signal : AbortSignal.any([signal, stalled.signal]),
  });
  const rounds = watchBytes(running.pid, stallMs, () => stalled.abort());
  try {
    const { failed, exitCode, stdout, stderr } = await running;
    signal?.throwIfAborted();
    if (!failed) return stdout;
    if (stalled.signal.aborted)
      throw new RegistryFailed('unreachable', `${hostOf(remote)} has said nothing for ${stallMs / 1000} s`);
    if (exitCode === 127) throw new ProgramMissing('skopeo', 'skopeo');
    throw failure(stderr, remote);
  } finally {
    await rounds.stop();
  }
}

/** Calls `onStall` once when the process has neither read nor written for so long: files, pipes and sockets alike. */
function watchBytes(pid: number | undefined, stallMs: number, onStall: () => void): Rounds {
  let known = '';
  let movedAtMs = monotonicMs();
  return startRounds(Math.min(STALL_POLL_MS, stallMs / 4), async () => {
    const counts = await readFile(`/proc/${String(pid)}/io`, 'utf8').catch(
      (error: unknown) => errorCode(error) ?? '',
    );
    if (counts !== known) [known, movedAtMs] = [counts, monotonicMs()];
    else if (monotonicMs() - movedAtMs > stallMs) onStall();
  });
}

const hostOf = ({ repository }: Remote): string => repository.split('/')[0] ?? repository;

/** What skopeo said, and what it means. */
function failure(said: string, remote: Remote): RegistryFailed {
  const host = hostOf(remote);
  const line =
    said
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^time="[^"]*" level=\w+ msg="?/, '')
      .replace(/"$/, '') ?? '';
  if (
    /unauthorized|authentication required|access to the resource is denied|invalid username\/password/i.test(
      said,
    )
  )
    return new RegistryFailed(
      'denied',
      `${host} wants a password, or another one: use \`skopeo login ${host}\`, or --authfile (${line})`,
    );
  if (/manifest unknown|name unknown|not found|status(code)?:? 404/i.test(said))
    return new RegistryFailed('missing', `There is no ${remote.repository}:${remote.name} (${line})`);
  if (
    /no such host|connection refused|network is unreachable|no route to host|i\/o timeout|connection reset|server misbehaving|EOF/i.test(
      said,
    )
  )
    return new RegistryFailed('unreachable', `${host} cannot be reached, or broke off (${line})`);
  return new RegistryFailed('failed', `Cannot copy from or to ${host}: ${line}`);
}
