import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { DaemonLab } from '../support/daemon-lab.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

const EXAMPLES_DIR = join(import.meta.dirname, '../../../examples');
const PYTHON_DIR = join(import.meta.dirname, '../../../clients/python/src');
const DEADLINE_MS = 120_000;

/** For each example, what it has to print. */
const expected: Readonly<Record<string, RegExp>> = {
  'best-of-n.mjs':
    /^the source stood still for [\d.]+ ms\n1\. \d+\.\d{3}\n2\. \d+\.\d{3}\n3\. \d+\.\d{3}\nbest: \[\d+(, \d+){4}\] …$/,
  'best_of_n.py':
    /^the source stood still for [\d.]+ ms\n1\. \d+\.\d{4}\n2\. \d+\.\d{4}\n3\. \d+\.\d{4}\nbest: y = -?[\d.]+ x \+ -?[\d.]+$/,
  'branch-under-load.mjs':
    /^the source stood still for [\d.]+ ms\nsource: \d{2,} answered, 0 failed\nchild: \d{2,} answered, 0 failed$/,
  'notebook_kernel.py':
    /^\[1\]\nsorted\n\[2\] \[1, 2, 3\]\n\[3\] ZeroDivisionError: .+\nback to before \[3\]\n\[3\] 2\.0$/,
  'warm-tests.mjs': /^(ok {4} [a-z ]+\n?){4}$/,
};

describe('the examples, with a real daemon', { timeout: 400_000 }, () => {
  let lab: DaemonLab;
  before(async () => {
    lab = await DaemonLab.open('examples');
  });
  after(() => lab.close());

  it('are all run here, and all told of', async () => {
    const files = await readdir(EXAMPLES_DIR);
    assert.deepEqual(files.filter((name) => name !== 'README.md').sort(), Object.keys(expected).sort());
    const page = await readFile(join(EXAMPLES_DIR, 'README.md'), 'utf8');
    for (const name of Object.keys(expected)) assert(page.includes(`[${name}](${name})`), name);
  });

  for (const [name, output] of Object.entries(expected)) {
    it(`${name} does what it says and leaves nothing`, async () => {
      const program = name.endsWith('.py') ? 'python3' : process.execPath;
      const { stdout } = await execa(program, [join(EXAMPLES_DIR, name), '--tag', TEMPLATE_TAG], {
        env: { BOUGH_URL: lab.url, PYTHONPATH: PYTHON_DIR, PYTHONDONTWRITEBYTECODE: '1' },
        timeout: DEADLINE_MS,
      });
      assert.match(stdout, output);
      assert.deepEqual(await lab.client.sandboxes.list(), []);
      const tags = (await lab.client.snapshots.list()).map(({ tag }) => tag);
      assert.deepEqual(tags, [TEMPLATE_TAG]);
    });
  }
});
