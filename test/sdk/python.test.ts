/**
 * The tests of the Python client, each counted as a test of its own. `python3 -m tests` prints a line of JSON for each; the daemon
 * that they talk to is `serve-fake-host`.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { execa } from 'execa';

const PROJECT_DIR = join(import.meta.dirname, '../../..');
const DEADLINE_MS = 400_000;

interface Outcome {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly detail: string;
}

const run = await execa('python3', ['-m', 'tests'], {
  cwd: join(PROJECT_DIR, 'clients/python'),
  env: {
    PYTHONPATH: 'src',
    PYTHONDONTWRITEBYTECODE: '1',
    NODE_NO_WARNINGS: '1',
    BOUGH_FAKE_DAEMON: join(import.meta.dirname, '../support/serve-fake-host.js'),
  },
  timeout: DEADLINE_MS,
  reject: false,
});
const outcomes = run.stdout
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line) as Outcome);

describe('the Python client', () => {
  it('runs its tests to the end', () => {
    assert.ok(outcomes.length > 0, run.stderr);
    // 1 says that a test failed, which is told below.
    assert.ok(run.exitCode === 0 || run.exitCode === 1, `${run.shortMessage}\n${run.stderr}`);
  });

  for (const { name, outcome, detail } of outcomes) {
    it(name, { skip: outcome === 'skipped' && detail }, () => assert.equal(outcome, 'passed', detail));
  }
});
