/** Archives of snapshots that say something else than what was packed, with digests that fit. */
import { createHash } from 'node:crypto';
import { END_OF_ARCHIVE, memberHeader, paddingAfter } from '../../src/hub/archive.js';

export interface Member {
  name: string;
  bytes: Buffer;
}

/** Values by their paths, such as `memory.0.runs`. */
export type Edits = Readonly<Record<string, unknown>>;

export interface Forgery {
  readonly config?: Edits;
  readonly manifest?: Edits;
  readonly index?: Edits;
  /** What the chunks are instead, in order. */
  readonly chunks?: (chunks: Buffer[]) => Buffer[];
}

/** The members of an archive of ours. */
export function membersOf(archive: Buffer): Member[] {
  const members: Member[] = [];
  for (let at = 0; archive[at] !== 0;) {
    const size = Number.parseInt(archive.toString('latin1', at + 124, at + 135), 8);
    const name = archive.toString('latin1', at, at + 100).replace(/\0.*$/s, '');
    members.push({ name, bytes: archive.subarray(at + 512, at + 512 + size) });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return members;
}

/** An archive of these members. */
export function archiveOfMembers(members: readonly Member[]): Buffer {
  const parts = members.flatMap(({ name, bytes }) => [
    memberHeader(name, bytes.length),
    bytes,
    paddingAfter(bytes.length),
  ]);
  return Buffer.concat([...parts, END_OF_ARCHIVE]);
}

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const blob = (bytes: Buffer): Member => ({ name: `blobs/sha256/${digestOf(bytes)}`, bytes });
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const named = (bytes: Buffer): object => ({ digest: `sha256:${digestOf(bytes)}`, size: bytes.length });

type Tree = Record<string, unknown>;

/** The JSON of a document with some values changed. */
function edited(document: Buffer, edits: Edits): Buffer {
  const root = JSON.parse(document.toString()) as Tree;
  for (const [path, value] of Object.entries(edits)) {
    const steps = path.split('.');
    const last = steps.pop() ?? '';
    const parent = steps.reduce((tree, step) => tree[step] as Tree, root);
    parent[last] = value;
  }
  return json(root);
}

/** An unsigned archive with what is forged in it; everything that names something else names that. */
export function forged(archive: Buffer, { config = {}, manifest = {}, index = {}, chunks }: Forgery): Buffer {
  const [layout, oldIndex, oldManifest, oldConfig, ...rest] = membersOf(archive);
  if (layout === undefined || oldIndex === undefined || oldManifest === undefined || oldConfig === undefined)
    throw new TypeError('Not an archive');
  const newConfig = edited(oldConfig.bytes, config);
  const newChunks = chunks?.(rest.map(({ bytes }) => bytes));
  const { mediaType } = (JSON.parse(oldManifest.bytes.toString()) as { layers: [{ mediaType: string }] })
    .layers[0];
  const newManifest = edited(oldManifest.bytes, {
    ...Object.fromEntries(Object.entries(named(newConfig)).map(([key, value]) => [`config.${key}`, value])),
    ...(newChunks && { layers: newChunks.map((bytes) => ({ mediaType, ...named(bytes) })) }),
    ...manifest,
  });
  const newIndex = edited(oldIndex.bytes, {
    ...Object.fromEntries(
      Object.entries(named(newManifest)).map(([key, value]) => [`manifests.0.${key}`, value]),
    ),
    ...index,
  });
  const blobs = newChunks?.map(blob) ?? rest;
  return archiveOfMembers([
    ...[layout, { name: 'index.json', bytes: newIndex }],
    ...[blob(newManifest), blob(newConfig), ...blobs],
  ]);
}
