import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { cliReference } from '../../src/cli/cli-reference.js';
import { processIo } from '../../src/cli/io.js';
import { buildProgram } from '../../src/cli/program.js';
import { providers } from '../../src/cli/providers.js';
import { endpoints, errorCatalogue } from '../../src/contract/index.js';
import { apiReference } from '../../src/daemon/api-reference.js';

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
});
