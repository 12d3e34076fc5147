/**
 * OCI images made in a test: tar archives become an OCI layout, as any builder writes one. Whatever is wrong in it the caller has put
 * there.
 */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { execa } from 'execa';

export interface ImageParts {
  /** Uncompressed tar archives, bottom first. */
  readonly layers: readonly Buffer[];
  /** The configuration's `config`: Env, User, Cmd, … */
  readonly config?: object;
  readonly architecture?: string;
  /** What the configuration says that the layers are; default: what they are. */
  readonly diffIdsOf?: readonly Buffer[];
  /** The layers as they lie in the layout; default: compressed by gzip. */
  readonly packed?: readonly Buffer[];
  /** What manifest, configuration and layers are called. */
  readonly types?: MediaTypes;
}

const REF_NAME = 'org.opencontainers.image.ref.name';

export interface MediaTypes {
  readonly manifest: string;
  readonly config: string;
  readonly layer: string;
}

const OCI_TYPES: MediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
};

/** As `docker push` calls them. */
export const DOCKER_TYPES: MediaTypes = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
};

export interface Blob {
  readonly digest: string;
  readonly size: number;
}

export async function putBlob(dir: string, bytes: Buffer): Promise<Blob> {
  const hex = sha256(bytes);
  await writeFile(join(dir, 'blobs/sha256', hex), bytes);
  return { digest: `sha256:${hex}`, size: bytes.length };
}

/** Writes a layout with one image, named `latest`; returns the blobs of its layers. */
export async function writeLayout(
  dir: string,
  { layers, config = {}, architecture = 'amd64', diffIdsOf = layers, packed, types = OCI_TYPES }: ImageParts,
): Promise<Blob[]> {
  await mkdir(join(dir, 'blobs/sha256'), { recursive: true });
  const blobs: Blob[] = [];
  for (const layer of packed ?? layers.map((each) => gzipSync(each))) blobs.push(await putBlob(dir, layer));
  const diffIds = diffIdsOf.map((layer) => `sha256:${sha256(layer)}`);
  const rootfs = { type: 'layers', diff_ids: diffIds };
  const configBlob = await putBlob(dir, json({ architecture, os: 'linux', config, rootfs }));
  const manifest = await putBlob(
    dir,
    json({
      schemaVersion: 2,
      mediaType: types.manifest,
      config: { mediaType: types.config, ...configBlob },
      layers: blobs.map((blob) => ({ mediaType: types.layer, ...blob })),
    }),
  );
  const named = { mediaType: types.manifest, ...manifest, annotations: { [REF_NAME]: 'latest' } };
  await writeFile(join(dir, 'index.json'), json({ schemaVersion: 2, manifests: [named] }));
  await writeFile(join(dir, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  return blobs;
}

/** A folder as a tar archive, with owners and extended attributes. */
export async function tarOf(dir: string, ...args: readonly string[]): Promise<Buffer> {
  const { stdout } = await execa(
    'tar',
    ['--xattrs', '--xattrs-include=*', '--numeric-owner', ...args, '-cf', '-', '-C', dir, '.'],
    {
      encoding: 'buffer',
      maxBuffer: 1 << 30,
    },
  );
  return Buffer.from(stdout);
}

export interface TarMember {
  readonly path: string;
  /** As in a tar header: 0 file, 1 hard link, 2 symbolic link, 3 character device, 5 folder, x extended header. */
  readonly type: '0' | '1' | '2' | '3' | '5' | 'x';
  readonly link?: string;
  readonly content?: string;
}

/** A tar archive byte by byte, with names that no tar program would write. */
export function tarMembers(members: readonly TarMember[]): Buffer {
  return Buffer.concat([...members.map(tarMember), Buffer.alloc(1024)]);
}

function tarMember({ path, type, link = '', content = '' }: TarMember): Buffer {
  const header = Buffer.alloc(512);
  const put = (text: string, at: number): void => void header.write(text, at, 'latin1');
  put(path, 0);
  put(type === '5' ? '0000755' : '0000644', 100);
  put('0000000', 108);
  put('0000000', 116);
  put(content.length.toString(8).padStart(11, '0'), 124);
  put('00000000000', 136);
  put('        ', 148);
  put(type, 156);
  put(link, 157);
  put('ustar\x0000', 257);
  if (type === '3') put('0000001\x000000003', 329);
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, Buffer.from(content), Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}
