import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { silentIo } from '../../test/support/cli-in-process.js';
import { pino } from 'pino';
import { aSandbox, aSnapshot, fakeHost, type FakeHost } from '../../test/support/fake-host.js';
import { loadConfig } from '../daemon/config.js';
import { serve, type Daemon } from '../daemon/serve.js';
import { duration, durationUpTo } from './arguments.js';
import { formatUntil } from './format.js';
import { run } from './program.js';
import type { Providers } from './providers.js';

const nowUnix = (): number => Math.floor(Date.now() / 1000);

describe('a duration on the command line', () => {
  it('is seconds, or numbers with units', () => {
    assert.deepEqual(
      ['90', '0.5', '90s', '1.5s', '500ms', '10m', '1h30m', '7d', '2w'].map(duration),
      [90, 0.5, 90, 1.5, 0.5, 600, 5400, 604_800, 1_209_600],
    );
  });

  it('is refused otherwise', () => {
    for (const text of ['', '0', '0s', 'x', '1y', '-1', '1h 30m', 'never']) {
      assert.throws(() => duration(text), /must be a duration/, text);
    }
  });

  it('may be zero and has a bound where a call takes it', () => {
    assert.deepEqual(['0', '0s', '60', '1m'].map(durationUpTo(60)), [0, 0, 60, 60]);
    assert.throws(() => durationUpTo(60)('61s'), /must be at most 60s/);
    assert.throws(() => durationUpTo(60)('soon'), /must be a duration/);
  });

  it('is shown as what is left', () => {
    assert.equal(formatUntil(1000, 900_000), 'in 1m');
    assert.equal(formatUntil(1000, 1_000_000), 'now');
    assert.equal(formatUntil(undefined), undefined);
  });
});

describe('lifetimes on the command line', () => {
  let daemon: Daemon;
  let host: FakeHost;
  let asked: {
    spawn?: Parameters<FakeHost['spawn']>[0];
    branch?: Parameters<FakeHost['branch']>[1];
    timeout?: Parameters<FakeHost['setTimeout']>[1];
    gc?: Parameters<FakeHost['collect']>[0];
  };

  before(async () => {
    host = fakeHost({
      spawn: (request) => Promise.resolve([((asked.spawn = request), aSandbox('sb1', 'base'))]),
      setTimeout: (_id, request) => {
        asked.timeout = request;
        return Promise.resolve({
          ...aSandbox('sb1', 'base'),
          endAtUnix: 1_700_000_000,
          idleTimeoutMs: 600_000,
        });
      },
      branch: (_id, request) => {
        asked.branch = request;
        return Promise.resolve(aSnapshot('b'));
      },
      collect: (request) => {
        asked.gc = request;
        return Promise.resolve({
          dryRun: request.dryRun,
          removed: [{ what: 'snapshot', name: 'old', why: 'it has expired', bytes: 1536 }],
          kept: [{ what: 'quarantine', name: '/q/x', why: 'it is damaged', bytes: 0 }],
          freedBytes: 1536,
        });
      },
    });
    const config = loadConfig({ listen: '127.0.0.1:0', stateDir: '/nowhere' }, {});
    daemon = await serve(config, host, { log: pino({ level: 'silent' }), drainMs: 20 });
  });
  after(() => daemon.close());
  beforeEach(() => {
    asked = {};
  });

  async function bough(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const ran = { code: 0, out: '', err: '' };
    ran.code = await run(args, {
      io: {
        ...silentIo,
        stdout: (text) => (ran.out += text),
        stderr: (text) => (ran.err += text),
        env: { BOUGH_URL: daemon.address },
      },
      providers: {} as Providers,
    });
    return ran;
  }

  it('spawns with an end', async () => {
    const flags = [
      '--timeout',
      '1h',
      '--idle-timeout',
      '10m',
      '--on-end',
      'snapshot',
      '--on-end-tag',
      'last',
    ];
    assert.equal((await bough('spawn', '--tag', 'base', ...flags)).code, 0);
    assert.deepEqual(asked.spawn?.lifetime, {
      ...{ endInMs: 3_600_000, idleTimeoutMs: 600_000 },
      ...{ onEnd: 'snapshot', onEndTag: 'last' },
    });
    assert.equal((await bough('spawn', '--tag', 'base', '--timeout', 'soon')).code, 2);
  });

  it('sets an end, puts it off, takes it away', async () => {
    const { out } = await bough('timeout', 'sb1', '2h');
    assert.equal(out, 'ends at 2023-11-14T22:13:20.000Z, ends after 10m without use\n');
    assert.deepEqual(asked.timeout, { endInMs: 7_200_000, extendOnly: false });
    await bough('timeout', 'sb1', '2h', '--extend-only', '--on-end', 'kill');
    assert.deepEqual(asked.timeout, { endInMs: 7_200_000, extendOnly: true, onEnd: 'kill' });
    await bough('timeout', 'sb1', 'never', '--idle-timeout', 'never');
    assert.deepEqual(asked.timeout, { never: true, idleTimeoutMs: 0, extendOnly: false });
    assert.equal((await bough('timeout', 'sb1')).code, 2);
  });

  it('branches with a retention', async () => {
    await bough('branch', 'sb1', '--expires', '7d', '--keep-last', '5');
    assert.deepEqual(asked.branch, {
      ...{ mode: 'live', wait: 'ready' },
      retention: { expiresInMs: 604_800_000, keepLast: 5 },
    });
  });

  it('says what the collector would remove, and why', async () => {
    const { out, err } = await bough('gc', '--dry-run');
    assert.equal(asked.gc?.dryRun, true);
    assert.match(out, /would remove +snapshot +old +1\.5 KiB +it has expired/);
    assert.match(out, /kept +quarantine +\/q\/x +0 B +it is damaged/);
    assert.equal(err, 'would free 1.5 KiB\n');
    assert.match((await bough('gc')).out, /^ACTION[^\n]*\n(.*\n)*removed /);
  });

  it('shows ends in the tables', async () => {
    host.sandboxes.set('sb1', {
      ...aSandbox('sb1', 'base'),
      ...{ endAtUnix: nowUnix() + 3599, idleTimeoutMs: 600_000, onEnd: 'snapshot', warning: 'it is kept' },
    });
    const { out } = await bough('ls');
    assert.match(out, /in 59m or idle 10m, snapshot +it is kept/);
    host.snapshots.set('s', {
      ...aSnapshot('s'),
      retention: { expiresAtUnix: nowUnix() + 86_500, keepLast: 3 },
    });
    assert.match((await bough('snapshots')).out, /in 1d or after 3 newer/);
  });
});
