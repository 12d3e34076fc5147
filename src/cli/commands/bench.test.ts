import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Command } from 'commander';
import type { BenchOutcome, BenchRequest, RunBench } from '../../bench/request.js';
import { silentIo } from '../../../test/support/cli-in-process.js';
import type { Context } from '../context.js';
import { CommandEnd, UsageError } from '../exit.js';
import { providers } from '../providers.js';
import { registerBench } from './bench.js';

const outcome: BenchOutcome = {
  text: 'text\n',
  json: { a: 1 },
  csv: 'a\n1\n',
  reportPath: undefined,
  missed: true,
};

interface Ran {
  request: BenchRequest | undefined;
  stdout: string;
}

async function bench(args: string[], env: Record<string, string> = {}): Promise<Ran> {
  const ran: Ran = { request: undefined, stdout: '' };
  const io = {
    ...silentIo,
    stdout: (text: string) => (ran.stdout += text),
    env: { BOUGH_CACHE_DIR: '/cache', ...env },
  };
  const context: Context = { io, providers };
  const program = new Command('bough').exitOverride().configureOutput({ writeErr: () => undefined });
  const fake: RunBench = (request) => {
    ran.request = request;
    return Promise.resolve(outcome);
  };
  registerBench(program, context, () => Promise.resolve(fake));
  program.commands[0]?.exitOverride().configureOutput({ writeErr: () => undefined });
  await program.parseAsync(['bench', ...args], { from: 'user' });
  return ran;
}

describe('bough bench', () => {
  it('without a word runs everything against a daemon of its own', async () => {
    const { request, stdout } = await bench([]);
    assert.equal(stdout, 'text\n');
    assert.equal(request?.benchmark, undefined);
    assert.equal(request?.daemon, undefined);
    assert.deepEqual(
      [request?.sourceTag, request?.image, request?.cacheDir],
      ['python-numpy', 'python-numpy', '/cache'],
    );
    assert.equal(request?.modes.length, 7);
  });

  it('takes the options of the pause benchmark', async () => {
    const { request } = await bench([
      ...['pause', '--source-tag', 'base', '--iterations', '10', '--modes', 'live-sync,full'],
      ...['--dirty-mib-per-s', '50', '--probes'],
    ]);
    assert.equal(request?.benchmark, 'pause');
    assert.deepEqual([request.sourceTag, request.image, request.iterations], ['base', 'base', 10]);
    assert.deepEqual(request.modes, ['live-sync', 'full']);
    assert.deepEqual([request.dirtyMiBPerSecond, request.probes], [50, true]);
  });

  it('uses a daemon that is named, by option or environment', async () => {
    assert.notEqual((await bench(['spawn', '--url', 'http://127.0.0.1:1'])).request?.daemon, undefined);
    assert.notEqual((await bench(['spawn'], { BOUGH_URL: 'http://127.0.0.1:1' })).request?.daemon, undefined);
  });

  it('writes rows to a file and JSON to stdout', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'bough-bench-test-'));
    try {
      const { stdout } = await bench(['pause', '--out-csv', join(dir, 'rows.csv'), '-o', 'json']);
      assert.deepEqual(JSON.parse(stdout), { a: 1 });
      assert.equal(await readFile(join(dir, 'rows.csv'), 'utf8'), 'a\n1\n');
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('fails for a missed promise only when strict', async () => {
    await bench(['pause']);
    await assert.rejects(
      bench(['pause', '--strict']),
      (error) => error instanceof CommandEnd && error.exitCode === 1,
    );
  });

  it('refuses what it cannot do, before anything runs', async () => {
    await assert.rejects(bench(['--out-csv', 'x']), UsageError);
    for (const args of [
      ['fork'],
      ['pause', '--modes', 'live'],
      ['pause', '--modes', 'full,full'],
      ['--iterations', '0'],
    ]) {
      await assert.rejects(bench(args), /must be|Allowed choices|twice/);
    }
  });
});
