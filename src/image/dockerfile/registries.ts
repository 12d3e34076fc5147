/**
 * How buildah speaks to registries: as this host says, and to one on the loopback without TLS too, as an import does. Nobody else can be
 * between there.
 *
 * Not handled: where such a registry is named, what this host says in registries.conf.d.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The first that is there is what this host says. */
const OF_THE_HOST = [
  join(homedir(), '.config/containers/registries.conf'),
  '/etc/containers/registries.conf',
];

/** A host with a port, wherever an image may be named. */
const LOOPBACK = /(?<![\w.-])(?:localhost|127\.[0-9.]+|\[::1\]):\d+(?=\/)/g;

/** Arguments of buildah, for the registries on the loopback that the text may name; what they need is written to `path`. */
export async function registryArgs(text: string, path: string): Promise<string[]> {
  const named = new Set(text.match(LOOPBACK));
  if (named.size === 0) return [];
  const plain = [...named].map((location) => `[[registry]]\nlocation = "${location}"\ninsecure = true\n`);
  await writeFile(path, [await saidHere(), ...plain].join('\n'));
  return ['--registries-conf', path];
}

async function saidHere(): Promise<string> {
  for (const path of OF_THE_HOST) {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text !== undefined) return text;
  }
  return '';
}
