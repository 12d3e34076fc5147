import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';
import { promisify } from 'node:util';

const PROJECT_DIR = join(import.meta.dirname, '../../..');

/** Every file of the project, tracked or about to be. */
async function projectFiles(): Promise<string[]> {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const { stdout } = await promisify(execFile)('git', args, { cwd: PROJECT_DIR, maxBuffer: 16 << 20 });
  return stdout.split('\0').filter((path) => path !== '');
}

const textOf = (path: string): Promise<string> => readFile(join(PROJECT_DIR, path), 'utf8').catch(() => '');

const withoutCode = (markdown: string): string =>
  markdown.replaceAll(/^```.*?^```/gms, '').replaceAll(/`[^`\n]*`/g, '');

/** Anchors of a page, as Markdown viewers make them from headings. */
function anchorsOf(markdown: string): Set<string> {
  const headings = markdown.matchAll(/^#+ (.*)$/gm);
  const slug = (title: string): string =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
  return new Set([...headings].map(([, title]) => slug(title ?? '')));
}

async function problemOf(page: string, link: string): Promise<string | undefined> {
  const [target = '', anchor] = link.split('#', 2);
  const path = target === '' ? page : join(dirname(page), decodeURI(target));
  const found = await stat(join(PROJECT_DIR, path)).catch(() => undefined);
  if (found === undefined) return `${page}: ${link} leads nowhere`;
  if (anchor === undefined || anchorsOf(await textOf(path)).has(anchor)) return undefined;
  return `${page}: ${link} names no heading`;
}

describe('documentation', () => {
  let files: string[] = [];
  before(async () => {
    files = await projectFiles();
  });

  it('has no relative link that leads nowhere', async () => {
    const pages = files.filter((path) => path.endsWith('.md'));
    const problems: (string | undefined)[] = [];
    let linkCount = 0;
    for (const page of pages) {
      const links = withoutCode(await textOf(page)).matchAll(/\]\(([^)\s]+)\)/g);
      for (const [, link = ''] of links) {
        if (/^[a-z]+:/.test(link)) continue;
        linkCount += 1;
        problems.push(await problemOf(page, link));
      }
    }
    assert.deepEqual(problems.filter(Boolean), []);
    assert(linkCount > 20, `found only ${linkCount} links`);
  });

  it('is where sources say it is', async () => {
    const sources = files.filter((path) => /\.(ts|mjs|py|c|h|service)$/.test(path));
    const named = await Promise.all(
      sources.map(async (path) => {
        const mentions = (await textOf(path)).matchAll(/\bdocs\/[\w/-]+\.md\b/g);
        return [...mentions].map(([mention]) => ({ path, mention }));
      }),
    );
    const missing = named.flat().filter(({ mention }) => !files.includes(mention));
    assert.deepEqual(missing, []);
    assert(named.flat().length > 10);
  });

  it('is reached from its index, page by page', async () => {
    const index = await textOf('docs/README.md');
    const pages = files.filter((path) => /^docs\/(guide|reference|internals)\/.*\.md$/.test(path));
    const unlisted = pages.filter((path) => !index.includes(`(${path.slice('docs/'.length)})`));
    assert.deepEqual(unlisted, []);
  });

  it('numbers its decisions, each number once and in the title', async () => {
    const decisions = files.filter((path) => path.startsWith('docs/decisions/') && path.endsWith('.md'));
    const numbers = decisions.map((path) => Number(/(\d{4})-/.exec(path)?.[1]));
    const titled = await Promise.all(
      decisions.map(async (path) => parseInt((await textOf(path)).slice(2), 10)),
    );
    assert.deepEqual(titled, numbers);
    assert.equal(new Set(numbers).size, decisions.length);
  });
});
