/**
 * What people call an image by, as skopeo wants it: `postgres:16` is a registry's, `./image.tar` is told apart by what is in it, and
 * everything that names one of skopeo's transports is passed on.
 */
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errorCode } from '../../base/index.js';
import { ImageBuildFailed } from '../errors.js';
import { runTool } from '../host-tools.js';

const TRANSPORTS = [
  ...['docker://', 'docker-daemon:', 'docker-archive:', 'containers-storage:'],
  ...['oci-archive:', 'oci:', 'dir:'],
];

const MAX_NAME = 63;

export interface Source {
  /** skopeo's reference. */
  readonly from: string;
  /** The same where it is spoken of. */
  readonly said: string;
  /** Without TLS: a registry on the loopback, which nobody else can be between. */
  readonly plain: boolean;
}

/** Throws ImageBuildFailed for a path that is no image. */
export async function sourceOf(reference: string, signal?: AbortSignal): Promise<Source> {
  const from = await transportOf(reference, signal);
  return { from, said: from, plain: /^docker:\/\/(localhost|127\.[0-9.]+|\[::1\])(:\d+)?\//.test(from) };
}

/** `postgres-16` of `registry.example/postgres:16`; `latest` is left out, as is what no name may hold. */
export function nameOf(reference: string): string {
  const path = TRANSPORTS.reduce((rest, transport) => rest.replace(transport, ''), reference);
  const last = basename(path.replace(/@[^@/]*$/, '').replace(/:latest$/, ''));
  const name = last.replace(/\.(tar|tgz|tar\.\w+)$/, '').toLowerCase();
  return name
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, MAX_NAME)
    .replace(/-+$/, '');
}

async function transportOf(reference: string, signal?: AbortSignal): Promise<string> {
  if (TRANSPORTS.some((transport) => reference.startsWith(transport))) return reference;
  if (!/^\.{0,2}\//.test(reference)) return `docker://${reference}`;
  return (await isFolder(reference)) ? folderTransport(reference) : fileTransport(reference, signal);
}

async function folderTransport(path: string): Promise<string> {
  if (await exists(join(path, 'oci-layout'))) return `oci:${path}`;
  if (await exists(join(path, 'manifest.json'))) return `dir:${path}`;
  throw new ImageBuildFailed(`Cannot import ${path}: there is neither oci-layout nor manifest.json in it`);
}

/** `docker save` of today writes both kinds into one file; then either way is right. */
async function fileTransport(path: string, signal?: AbortSignal): Promise<string> {
  const listed = await runTool('tar', ['-tf', path], { what: `read ${path}`, signal });
  const members = new Set(listed.split('\n').map((name) => name.replace(/^\.\//, '')));
  if (members.has('manifest.json')) return `docker-archive:${path}`;
  if (members.has('oci-layout')) return `oci-archive:${path}`;
  throw new ImageBuildFailed(`Cannot import ${path}: there is neither manifest.json nor oci-layout in it`);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw new ImageBuildFailed(`Cannot import ${path}: there is no such file`);
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
