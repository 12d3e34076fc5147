/**
 * An image brought to this host: skopeo copies it into an OCI layout, one platform of it, and checks each blob against its digest.
 *
 * The layout outlives a copy that breaks off: blobs appear in it whole, and the next try fetches only the others. What is read of it
 * here is checked against the digest that names it; umoci does the same with the layers. Nobody else can read it: what comes from a
 * registry that wants a password is not for every user of this host.
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ImageBuildFailed } from '../errors.js';
import { PDEATHSIG, runTool } from '../host-tools.js';
import { checkClaims, digestSchema, readDocument } from './claims.js';
import {
  guestDefaults,
  imageConfigSchema,
  type GuestDefaults,
  type Healthcheck,
  type ImageConfig,
} from './config.js';
import { handedOver } from './engines.js';
import { gunzipped } from './gzipped.js';
import type { Source } from './reference.js';

/** What guests of this host are. */
const PLATFORM = { os: 'linux', architecture: 'amd64' } as const;

/** The name of the one image in our layout. */
export const LAYOUT_TAG = 'bough';

/** What skopeo calls a blob in a layout before it is whole. */
const UNFINISHED_BLOB = 'oci-put-blob';

const descriptorSchema = z.object({ digest: digestSchema, size: z.int().nonnegative() });
const indexSchema = z.object({
  manifests: z.array(descriptorSchema.extend({ annotations: z.record(z.string(), z.string()).optional() })),
});
const manifestSchema = z.object({
  config: descriptorSchema.extend({ mediaType: z.string().optional() }),
  layers: z.array(descriptorSchema),
});

/** How the types of what is no image begin, but a snapshot of `bough export` or `bough push`. */
const SNAPSHOT_TYPE = 'application/vnd.bough.snapshot.';

type Descriptor = z.infer<typeof descriptorSchema>;

export interface FetchOptions {
  /** As `docker login` writes it; default: where Podman and Docker keep theirs. */
  readonly authFile?: string | undefined;
  /** Where skopeo keeps what it needs on the way. */
  readonly scratchDir: string;
  readonly signal?: AbortSignal | undefined;
}

export interface FetchedImage {
  /** Of the manifest in the layout, `sha256:…`. */
  readonly digest: string;
  readonly defaults: GuestDefaults;
}

/** Copies the image into the layout, and reads what is said of it. Throws ImageBuildFailed with skopeo's words. */
export async function fetchImage(
  asked: Source,
  layout: string,
  options: FetchOptions,
): Promise<FetchedImage> {
  const source = await gunzipped(await handedOver(asked, options), options);
  await checkClaims(source.from, options.signal);
  await makeLayoutFolder(layout);
  const args = ['copy', '--quiet', '--retry-times=2', '--dest-compress-format=gzip'];
  await skopeo(
    source,
    [...args, ...access('src-', source, options)],
    [`oci:${layout}:${LAYOUT_TAG}`],
    options,
  );
  const { digest, config } = await readLayout(layout, source.said);
  const health = config.config?.Healthcheck ?? (await lostHealthcheck(source, options));
  return { digest, defaults: guestDefaults(config, health) };
}

async function makeLayoutFolder(layout: string): Promise<void> {
  await mkdir(layout, { recursive: true });
  await chmod(layout, 0o700);
  for (const name of await readdir(layout))
    if (name.startsWith(UNFINISHED_BLOB) || name === 'index.json')
      await rm(join(layout, name), { force: true });
}

const access = (prefix: string, { plain }: Source, { authFile }: FetchOptions): string[] => [
  ...(plain ? [`--${prefix}tls-verify=false`] : []),
  ...(authFile === undefined ? [] : [`--${prefix}authfile=${authFile}`]),
];

async function skopeo(
  { from, said }: Source,
  args: readonly string[],
  rest: readonly string[],
  { scratchDir, signal }: FetchOptions,
): Promise<string> {
  const platform = [`--override-os=${PLATFORM.os}`, `--override-arch=${PLATFORM.architecture}`];
  return runTool('setpriv', [...PDEATHSIG, 'skopeo', ...platform, ...args, '--', from, ...rest], {
    ...{ what: `fetch ${said}`, env: { TMPDIR: scratchDir }, signal },
  });
}

/** Docker's own form of a configuration has it, and the OCI form that it is converted to has not. */
async function lostHealthcheck(source: Source, options: FetchOptions): Promise<Healthcheck | undefined> {
  if (!/^(docker:\/\/|docker-archive:|containers-storage:|dir:)/.test(source.from)) return undefined;
  const args = ['inspect', '--config', '--raw', '--retry-times=2', ...access('', source, options)];
  const text = await skopeo(source, args, [], options);
  return parsed(imageConfigSchema, text, source.said).config?.Healthcheck;
}

async function readLayout(layout: string, from: string): Promise<{ digest: string; config: ImageConfig }> {
  const text = (await readDocument(join(layout, 'index.json')))?.toString('utf8') ?? '{}';
  const ours = parsed(indexSchema, text, from).manifests.find(
    ({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] === LAYOUT_TAG,
  );
  if (ours === undefined) throw new ImageBuildFailed(`Cannot import ${from}: skopeo left no manifest`);
  const manifest = await readBlob(layout, ours, manifestSchema);
  if (manifest.config.mediaType?.startsWith(SNAPSHOT_TYPE) === true)
    throw new ImageBuildFailed(
      `Cannot import ${from} as an image: it is a snapshot, which \`bough import\` takes from a file and \`bough pull\` from a registry`,
    );
  const config = await readBlob(layout, manifest.config, imageConfigSchema);
  for (const layer of manifest.layers) await checkSize(layout, layer);
  const { os, architecture } = config;
  if (os !== PLATFORM.os || architecture !== PLATFORM.architecture) {
    const wanted = `${PLATFORM.os}/${PLATFORM.architecture}`;
    throw new ImageBuildFailed(
      `Cannot import ${from}: it is for ${os}/${architecture}, guests are ${wanted}`,
    );
  }
  return { digest: ours.digest, config };
}

const blobPath = (layout: string, digest: string): string =>
  join(layout, 'blobs/sha256', digest.slice('sha256:'.length));

async function readBlob<T>(layout: string, blob: Descriptor, schema: z.ZodType<T>): Promise<T> {
  const { digest } = blob;
  const bytes = await readDocument(blobPath(layout, digest));
  if (bytes === undefined || `sha256:${createHash('sha256').update(bytes).digest('hex')}` !== digest)
    throw new ImageBuildFailed(`Cannot import an image: the blob ${digest} holds something else`);
  await checkSize(layout, blob);
  return parsed(schema, bytes.toString('utf8'), digest);
}

async function checkSize(layout: string, { digest, size }: Descriptor): Promise<void> {
  const found = (await stat(blobPath(layout, digest))).size;
  if (found !== size)
    throw new ImageBuildFailed(
      `Cannot import an image: the blob ${digest} does not match its manifest: ${found} bytes, not ${size}`,
    );
}

function parsed<T>(schema: z.ZodType<T>, text: string, what: string): T {
  const result = schema.safeParse(jsonOf(text));
  if (result.success) return result.data;
  throw new ImageBuildFailed(`Cannot import an image: in ${what}, ${z.prettifyError(result.error)}`);
}

/** Undefined, which no schema takes, for what is no JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
