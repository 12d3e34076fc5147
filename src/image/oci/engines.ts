/**
 * Images that Docker and Podman have on this host, as skopeo can take them.
 *
 * Docker's come by `docker save`: its own program speaks to whichever daemon its user has chosen (DOCKER_HOST, contexts) and agrees with it
 * on a version. skopeo's way knows one socket and, in Debian 12, a version that no Docker from 25 on takes; and it loses HEALTHCHECK.
 * Podman's are read where they lie; it is asked which one a short name means.
 *
 * Not handled: images of another user's Podman, which keeps each user's apart.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ImageBuildFailed } from '../errors.js';
import { missingTools, missingWords, PDEATHSIG, runTool, type Tool } from '../host-tools.js';
import type { Source } from './reference.js';

interface Engine {
  /** How a reference to an image of it begins. */
  readonly transport: string;
  readonly name: string;
  readonly tool: Tool;
}

const handsOver = 'hands over the images that it has';
const DOCKER: Engine = {
  ...{ transport: 'docker-daemon:', name: 'Docker' },
  tool: { program: 'docker', debianPackage: 'docker.io', purpose: handsOver },
};
const PODMAN: Engine = {
  ...{ transport: 'containers-storage:', name: 'Podman' },
  tool: { program: 'podman', debianPackage: 'podman', purpose: handsOver },
};

/** Who has been asked whether an image is on this host answers by then, or has none. */
const ASKED_MS = 5000;

const OF_EACH_USER =
  'Podman keeps the images of each user apart, and these are those of root: as another user, `podman save -o image.tar NAME`, then `bough image import ./image.tar`';

interface HandingOver {
  /** Where there is room for a file of it. */
  readonly scratchDir: string;
  readonly signal?: AbortSignal | undefined;
}

/** The source itself, unless it is an image of Docker's or Podman's. Throws ImageBuildFailed with the words of their programs. */
export async function handedOver(source: Source, { scratchDir, signal }: HandingOver): Promise<Source> {
  const what = `fetch ${source.from}`;
  const named = (engine: Engine): string => source.from.slice(engine.transport.length);
  if (source.from.startsWith(DOCKER.transport)) {
    const missing = await missingTools([DOCKER.tool]);
    if (missing.length > 0) throw new ImageBuildFailed(`Cannot ${what}: ${missingWords(missing)}`);
    const id = await idOf(DOCKER, named(DOCKER), what, signal);
    const path = join(scratchDir, 'saved.tar');
    await ask(DOCKER, ['save', '--output', path, id], what, signal);
    return { ...source, from: `docker-archive:${path}` };
  }
  // What names a storage of its own is skopeo's to read, and so is everything where there is no Podman.
  if (!source.from.startsWith(PODMAN.transport) || named(PODMAN).startsWith('[')) return source;
  if ((await missingTools([PODMAN.tool])).length > 0) return source;
  try {
    return { ...source, from: `${PODMAN.transport}${await idOf(PODMAN, named(PODMAN), what, signal)}` };
  } catch (error) {
    throw error instanceof ImageBuildFailed ? error.withHint(OF_EACH_USER) : error;
  }
}

/** What helps whoever asked a registry for an image that is on this host; undefined where it is not. */
export async function hintFor({ from }: Source): Promise<string | undefined> {
  if (!from.startsWith('docker://')) return undefined;
  const name = from.slice('docker://'.length);
  if (existsSync(name)) return `there is a file of that name: \`bough image import ./${name}\``;
  for (const engine of [DOCKER, PODMAN]) {
    if ((await missingTools([engine.tool])).length > 0) continue;
    const asked = idOf(engine, name, 'ask', AbortSignal.timeout(ASKED_MS));
    if ((await asked.catch(() => '')) !== '')
      return `${engine.name} on this host has an image of that name: \`bough image import ${engine.transport}${name}\``;
  }
  return undefined;
}

/** The one image that is meant, by the engine's own rules for names. */
async function idOf(engine: Engine, name: string, what: string, signal?: AbortSignal): Promise<string> {
  const id = await ask(engine, ['image', 'inspect', '--format', '{{.Id}}', '--', name], what, signal);
  return id.trim();
}

function ask({ tool }: Engine, args: string[], what: string, signal?: AbortSignal): Promise<string> {
  return runTool('setpriv', [...PDEATHSIG, tool.program, ...args], { what, signal });
}
