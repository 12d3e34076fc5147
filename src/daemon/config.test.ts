import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError, loadConfig } from './config.js';

describe('the configuration', () => {
  it('has defaults', () => {
    const config = loadConfig({}, {});
    assert.deepEqual(config.listen, { host: '127.0.0.1', port: 8889, isLoopback: true });
    assert.match(config.hotDir, /^\/dev\/shm\/bough-[0-9a-f]{8}$/);
    assert.equal(config.tokenFile, undefined);
    assert.equal(config.maxConcurrentBranches, 4);
    assert.equal(config.accelerator, 'auto');
  });

  it('derives the hot directory from the state directory', () => {
    const one = loadConfig({ stateDir: '/a' }, {}).hotDir;
    assert.equal(one, loadConfig({ stateDir: '/a' }, {}).hotDir);
    assert.notEqual(one, loadConfig({ stateDir: '/b' }, {}).hotDir);
  });

  it('takes a flag before a variable before the default', () => {
    const env = { BOUGH_LOG_LEVEL: 'warn', BOUGH_STATE_DIR: '' };
    assert.equal(loadConfig({}, env).logLevel, 'warn');
    assert.equal(loadConfig({ logLevel: 'debug' }, env).logLevel, 'debug');
  });

  it('reads servers of names as addresses, with ports or without', () => {
    const servers = (dnsServers: string) => loadConfig({ dnsServers }, {}).dnsServers;
    const good = '10.0.0.53, 10.0.0.54:5353,fd00::53,[fd00::53]:53';
    assert.deepEqual(servers(good), ['10.0.0.53', '10.0.0.54:5353', 'fd00::53', '[fd00::53]:53']);
    for (const bad of [
      'a.example',
      '10.0.0.53:0',
      '10.0.0.53:65536',
      '10.0.0',
      '[10.0.0.53]',
      ',',
      '10.0.0.53,',
    ])
      assert.throws(() => servers(bad), /--dns-servers must be addresses/, bad);
    assert.throws(
      () => loadConfig({ networkDefault: 'list' }, {}),
      /--network-default must be one of none, off/,
    );
  });

  it('takes levels of isolation, and users for VMMs as a range', () => {
    const { isolation, requireIsolation, vmmUids } = loadConfig({}, {});
    assert.deepEqual([isolation, requireIsolation], ['none', 'none']);
    assert.deepEqual(vmmUids, { first: 1_879_048_192, last: 2_147_352_575 });
    assert.deepEqual(loadConfig({ vmmUids: '200000-265535' }, {}).vmmUids, { first: 200_000, last: 265_535 });
    for (const bad of ['0-9', '9-9', '9', 'a-b', '1-4294967295'])
      assert.throws(() => loadConfig({ vmmUids: bad }, {}), /--vmm-uids must be two uids above 0/, bad);
    assert.throws(
      () => loadConfig({ requireIsolation: 'auto' }, {}),
      /--require-isolation must be one of none, namespaced, user/,
    );
  });

  it('reads sizes in binary units', () => {
    const quota = (diskQuota: string) => loadConfig({ diskQuota }, {}).diskQuotaBytes;
    assert.deepEqual(['512', '1k', '1.5M', '2GiB', '3 tb'].map(quota), [
      512,
      1024,
      1.5 * 1024 ** 2,
      2 * 1024 ** 3,
      3 * 1024 ** 4,
    ]);
    assert.equal(loadConfig({}, {}).diskQuotaBytes, undefined);
  });

  it('knows loopback from the rest', () => {
    const isLoopback = (listen: string) => loadConfig({ listen }, {}).listen.isLoopback;
    for (const listen of ['localhost:1', '127.0.0.2:1', '[::1]:1']) assert.ok(isLoopback(listen), listen);
    for (const listen of ['0.0.0.0:1', '[::]:1', '10.0.0.1:1', 'localhost.example:1']) {
      assert.ok(!isLoopback(listen), listen);
    }
  });

  const wrong: [string, Parameters<typeof loadConfig>, RegExp][] = [
    ['an address without port', [{ listen: 'localhost' }, {}], /^--listen must be host:port/],
    ['a port too large', [{ listen: 'localhost:70000' }, {}], /^--listen /],
    [
      'a relative directory',
      [{}, { BOUGH_STATE_DIR: 'x' }],
      /^BOUGH_STATE_DIR must be an absolute path, not "x"$/,
    ],
    ['a hot directory too long', [{ hotDir: `/${'x'.repeat(80)}` }, {}], /^--hot-dir must be at most/],
    ['an unknown log level', [{ logLevel: 'loud' }, {}], /^--log-level must be one of/],
    ['an unknown accelerator', [{}, { BOUGH_ACCELERATOR: 'hvf' }], /^BOUGH_ACCELERATOR must be one of auto,/],
    ['a QEMU without a path', [{ qemu: 'qemu' }, {}], /^--qemu must be an absolute path/],
    ['a limit of zero', [{ maxConcurrentBranches: '0' }, {}], /^--max-concurrent-branches /],
    ['a quota of nothing', [{ diskQuota: '0' }, {}], /^--disk-quota must be a size/],
    ['a quota in no unit', [{ diskQuota: '5Q' }, {}], /^--disk-quota must be a size/],
    ['a limit that is no number', [{ maxConcurrentBranches: 'x' }, {}], /must be a whole number/],
  ];
  for (const [what, args, message] of wrong) {
    it(`refuses ${what}, naming where it was given`, () => {
      assert.throws(
        () => loadConfig(...args),
        (error) => error instanceof ConfigError && message.test(error.message),
      );
    });
  }
});
