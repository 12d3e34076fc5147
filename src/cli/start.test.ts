import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PROJECT_DIR = fileURLToPath(new URL('../../../', import.meta.url));

/** Writes the address of every module that is loaded to stderr, where the command itself writes nothing. */
const HOOK = `
  import { writeSync } from 'node:fs';
  export async function load(url, context, next) {
    writeSync(2, url + '\\n');
    return next(url, context);
  }`;
const REGISTER = `import { register } from 'node:module'; register(${JSON.stringify(asModule(HOOK))});`;

function asModule(source: string): string {
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

describe('the start of a command', () => {
  it('loads no library of the daemon: a command starts as fast as what it needs', async () => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [
      ...['--import', asModule(REGISTER)],
      ...[join(PROJECT_DIR, 'dist/src/cli/main.js'), '--help'],
    ]);
    assert.match(stdout, /quickstart/);
    const { dependencies } = JSON.parse(await readFile(join(PROJECT_DIR, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const loaded = Object.keys(dependencies).filter((name) => stderr.includes(`/node_modules/${name}/`));
    assert.deepEqual(loaded.sort(), ['cli-table3', 'commander']);
  });
});
