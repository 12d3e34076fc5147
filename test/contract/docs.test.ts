import assert from 'node:assert/strict';
import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { execa } from 'execa';
import { cliReference } from '../../src/cli/cli-reference.js';
import { processIo } from '../../src/cli/io.js';
import { buildProgram } from '../../src/cli/program.js';
import { providers } from '../../src/cli/providers.js';
import { endpoints, errorCatalogue } from '../../src/contract/index.js';
import { apiReference } from '../../src/daemon/api-reference.js';

const PROJECT_DIR = join(import.meta.dirname, '../../..');
const outdated = 'is outdated: run `node scripts/docs.mjs`';

async function readDoc(name: string): Promise<string> {
  return readFile(new URL(`../../../docs/reference/${name}`, import.meta.url), 'utf8');
}

describe('the generated docs', () => {
  it('docs/reference/api.md is current', async () => {
    assert.ok((await readDoc('api.md')) === apiReference(), `docs/reference/api.md ${outdated}`);
  });

  it('docs/reference/cli.md is current', async () => {
    const program = buildProgram({ io: processIo(), providers });
    assert.ok((await readDoc('cli.md')) === cliReference(program), `docs/reference/cli.md ${outdated}`);
  });

  it('docs/reference/sdk.md is current, and tells of everything that the SDK exports', async () => {
    const program = `import { sdkReference } from './scripts/sdk-reference.mjs';
      process.stdout.write(await sdkReference());`;
    const { stdout } = await execa(process.execPath, ['--input-type=module', '-e', program], {
      cwd: PROJECT_DIR,
      stripFinalNewline: false,
    });
    const page = await readDoc('sdk.md');
    assert.ok(page === stdout, `docs/reference/sdk.md ${outdated}`);
    const index = await readFile(join(PROJECT_DIR, 'src/sdk/index.ts'), 'utf8');
    const names = [...index.replace(/^\/\*\*.*$/gm, '').matchAll(/\b(?:\w+ as )?([A-Z]\w+)\b/g)].map(
      ([, name]) => name,
    );
    assert(names.length > 50);
    for (const name of names) assert(page.includes(`## ${name}\n`) || page.includes(`\`${name}\``), name);
  });

  it('docs/reference/api.md documents every error code and every route', async () => {
    const text = await readDoc('api.md');
    for (const code of Object.keys(errorCatalogue)) assert.ok(text.includes(`| \`${code}\` |`), code);
    for (const { method, path } of Object.values(endpoints)) {
      const heading = `### ${method} ${path.replace(/:(\w+)/g, '{$1}')}\n`;
      assert.ok(text.includes(heading), heading);
    }
  });

  it('docs/reference/cli.md has an example for every command', async () => {
    const sections = (await readDoc('cli.md')).split('\n## ').slice(1);
    for (const section of sections) assert.match(section, /```sh\nbough|```sh\nid=/);
  });

  it('pages tell only of commands and options that there are', async () => {
    const program = buildProgram({ io: processIo(), providers });
    const pages = [
      'README.md',
      'CONTRIBUTING.md',
      'examples/README.md',
      'docs/guide/images.md',
      'docs/guide/operations.md',
    ];
    const lines = await Promise.all(
      pages.map((page) => readFile(new URL(`../../../${page}`, import.meta.url), 'utf8')),
    );
    const told = lines.flatMap((text) => [
      ...text.replaceAll('$(', '\n').matchAll(/\bbough ((?:[a-z]+ ?)+[^`#|;)\n]*)/g),
    ]);
    const calls = told.map(([, call = '']) => call.trim()).filter((call) => isCall(program, call));
    assert(calls.length > 30, `found only ${calls.length}`);
    assert.deepEqual(
      calls.flatMap((call) => unknownIn(program, call)),
      [],
    );
  });
});

/** Prose goes on with other words. */
function isCall(program: Command, call: string): boolean {
  const [word] = call.split(' ');
  return program.commands.some((command) => command.name() === word);
}

/** What `program` does not know of a command line: a verb, long options. */
function unknownIn(program: Command, call: string): string[] {
  const words = call.split(' -- ')[0]?.split(/\s+/) ?? [];
  let command = program.commands.find((each) => each.name() === words[0]);
  if (command === undefined) return [call];
  if (command.commands.length > 0) {
    command = command.commands.find((each) => each.name() === words[1]);
    if (command === undefined) return [call];
  }
  const known = new Set(command.options.map((option) => option.long));
  return words.filter((word) => /^--\w/.test(word) && !known.has(word)).map((word) => `${call}: ${word}`);
}
