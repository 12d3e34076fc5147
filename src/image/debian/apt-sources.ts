/**
 * Where this host gets Debian from, so that an image is made from the same place: /etc/apt is read, in both
 * of its formats, and what belongs to the running Debian release itself is kept. Third parties' sources are
 * not: their packages have no place in a minimal guest.
 *
 * A source counts as Debian's own when it offers the component "main" of a suite named after the release
 * (bookworm, bookworm-updates, bookworm-security) and is signed by Debian's archive key or names no key.
 *
 * Not handled: sources that name the release only by an alias such as "stable", options other than signed-by
 * and trusted.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../../base/index.js';
import { ImageBuildFailed } from '../errors.js';

interface AptSource {
  readonly types: readonly string[];
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly signedBy: string | undefined;
  readonly trusted: boolean;
}

/** One-line source entries for the release; throws ImageBuildFailed when the host has none. */
export async function debianSources(codename: string, aptDir = '/etc/apt'): Promise<string[]> {
  const sources = (await readSources(aptDir)).filter((source) => isDebian(source, codename));
  const lines = sources.flatMap((source) => toLines(source, codename));
  if (lines.length === 0) {
    throw new ImageBuildFailed(
      `Cannot build an image: no package source for Debian "${codename}" (component main) in ${aptDir}`,
    );
  }
  return [...new Set(lines)];
}

/** Where a host of release `own` gets `release` from, whose name takes the place of its own. */
export async function sourcesOfRelease(release: string, own: string, aptDir?: string): Promise<string[]> {
  return (await debianSources(own, aptDir)).map((line) => line.replaceAll(` ${own}`, ` ${release}`));
}

async function readSources(aptDir: string): Promise<AptSource[]> {
  const names = await readdir(join(aptDir, 'sources.list.d')).catch(noneIfAbsent);
  const paths = ['sources.list', ...names.sort().map((name) => join('sources.list.d', name))];
  const sources: AptSource[] = [];
  for (const path of paths) {
    const parse = path.endsWith('.sources') ? parseDeb822 : path.endsWith('.list') ? parseOneLine : undefined;
    if (parse === undefined) continue;
    const text = await readFile(join(aptDir, path), 'utf8').catch(noneIfAbsent);
    if (typeof text === 'string') sources.push(...parse(text));
  }
  return sources;
}

function noneIfAbsent(error: unknown): [] {
  if (errorCode(error) === 'ENOENT') return [];
  throw error;
}

/** sources.list(5), one entry a line: `deb [option=value ...] uri suite component ...`. */
export function parseOneLine(text: string): AptSource[] {
  const entry = /^(deb(?:-src)?)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)$/;
  return text.split('\n').flatMap((line) => {
    const match = entry.exec(line.replace(/#.*/, '').trim());
    if (match === null) return [];
    const [, type = '', options = '', uri = '', suite = '', components = ''] = match;
    const option = (name: string): string | undefined =>
      words(options)
        .find((word) => word.startsWith(`${name}=`))
        ?.slice(name.length + 1);
    return [
      {
        types: [type],
        uris: [uri],
        suites: [suite],
        components: words(components),
        signedBy: option('signed-by'),
        trusted: option('trusted') === 'yes',
      },
    ];
  });
}

/**
 * sources.list(5), stanzas of `Field: value` with continuation lines. A key given in full instead of a path
 * is left out.
 */
export function parseDeb822(text: string): AptSource[] {
  const stanzas = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .split(/\n[ \t]*(?:\n[ \t]*)+/);
  return stanzas.flatMap((stanza) => {
    const fields = new Map<string, string>();
    for (const [, name = '', value = ''] of stanza.matchAll(/^([\w-]+):((?:.*)(?:\n[ \t].*)*)/gm)) {
      fields.set(name.toLowerCase(), value.trim());
    }
    if (!fields.has('uris') || fields.get('enabled')?.toLowerCase() === 'no') return [];
    const list = (name: string): string[] => words(fields.get(name) ?? '');
    return [
      {
        types: list('types'),
        uris: list('uris'),
        suites: list('suites'),
        components: list('components'),
        signedBy: fields.get('signed-by'),
        trusted: fields.get('trusted')?.toLowerCase() === 'yes',
      },
    ];
  });
}

function isDebian({ types, suites, components, signedBy }: AptSource, codename: string): boolean {
  return (
    types.includes('deb') &&
    components.includes('main') &&
    suites.some((suite) => isReleaseSuite(suite, codename)) &&
    (signedBy === undefined || signedBy.includes('debian-archive'))
  );
}

function isReleaseSuite(suite: string, codename: string): boolean {
  return suite === codename || ['updates', 'security'].some((part) => suite === `${codename}-${part}`);
}

function toLines({ uris, suites, signedBy, trusted }: AptSource, codename: string): string[] {
  const key = signedBy?.startsWith('/') === true ? [`signed-by=${signedBy}`] : [];
  const options = [...key, ...(trusted ? ['trusted=yes'] : [])];
  const bracket = options.length === 0 ? '' : ` [${options.join(' ')}]`;
  const wanted = suites.filter((suite) => isReleaseSuite(suite, codename));
  return uris.flatMap((uri) => wanted.map((suite) => `deb${bracket} ${uri} ${suite} main`));
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
