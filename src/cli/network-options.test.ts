import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { CliDaemon } from '../../test/support/cli-daemon.js';
import type { Network } from '../contract/index.js';
import { networkRule } from './network-options.js';

describe('network options', () => {
  let daemon: CliDaemon;
  before(async () => {
    daemon = await CliDaemon.open();
  });
  after(() => daemon.close());

  it('keep rules in the order in which they are given, and are a list when there are some', async () => {
    const id = await daemon.spawn();
    const rules = ['--deny', '10.0.0.0/8', '--allow', 'pypi.org:443,8443', '--deny', '*.example.com'];
    const { policy } = parse(await daemon.printed('network', 'set', id, ...rules, '-o', 'yaml')) as Network;
    assert.equal(policy.mode, 'list');
    assert.deepEqual(policy.rules, [
      { deny: '10.0.0.0/8' },
      { allow: 'pypi.org', ports: [443, 8443] },
      { deny: '*.example.com' },
    ]);
  });

  it('take modes, presets and a limit', async () => {
    const id = await daemon.spawn();
    const options = [
      '--network',
      'internet',
      '--preset',
      'python',
      '--preset',
      'node',
      '--max-connections',
      '3',
    ];
    const { policy } = parse(await daemon.printed('network', 'set', id, ...options, '-o', 'yaml')) as Network;
    assert.deepEqual(policy, {
      mode: 'internet',
      rules: [],
      presets: ['python', 'node'],
      max_connections: 3,
    });
  });

  it('are given to what is spawned', async (test) => {
    const spawn = test.mock.method(daemon.host, 'spawn');
    await daemon.spawn('--network', 'off');
    await daemon.spawn();
    const [given, none] = spawn.mock.calls.map(({ arguments: [request] }) => request.network);
    assert.deepEqual([given?.mode, none], ['off', undefined]);
  });

  it('are wrong usage where they say nothing', async () => {
    const id = await daemon.spawn();
    for (const options of [
      [],
      ['--max-connections', '3'],
      ['--preset', 'java'],
      ['--allow', ':80'],
      ['--network', 'open'],
    ])
      assert.equal((await daemon.run(['network', 'set', id, ...options])).code, 2, options.join(' '));
  });

  it('read addresses of IPv6 with and without ports', () => {
    assert.deepEqual(networkRule('allow', 'fd00::/8'), { allow: 'fd00::/8' });
    assert.deepEqual(networkRule('deny', '[fd00::1]:53'), { deny: 'fd00::1', ports: [53] });
    assert.deepEqual(networkRule('allow', 'host:8080'), { allow: 'host', ports: [8080] });
  });

  it('show and check tell people and programs, and a refusal is a status', async () => {
    const id = await daemon.spawn();
    const shown = await daemon.printed('network', 'show', id);
    assert.match(shown, /^mode +none$/m);
    assert.match(shown, /^open +0 of 1$/m);
    const checked = await daemon.run(['network', 'check', id, 'example.com', '80']);
    assert.deepEqual(checked, { code: 1, stdout: 'refused\n', stderr: 'there is no network\n' });
  });
});
