import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { runDaemon } from '../../src/daemon/main.js';
import { fakeHost } from '../support/fake-host.js';
import { until } from './rows-table.js';

const quiet = { BOUGH_LOG_LEVEL: 'silent' };

describe('runDaemon()', () => {
  it('serves until SIGTERM, then lets go of the host', async () => {
    const events: string[] = [];
    const host = fakeHost({
      close: () => {
        events.push('host closed');
        return Promise.resolve();
      },
    });
    const running = runDaemon({ listen: '127.0.0.1:0', stateDir: '/nowhere' }, quiet, {
      openHost: () => {
        events.push('host opened');
        void until(() => process.listenerCount('SIGTERM') > 0).then(() => process.emit('SIGTERM'));
        return Promise.resolve(host);
      },
    });
    await running;
    assert.deepEqual(events, ['host opened', 'host closed']);
    process.removeAllListeners('SIGTERM');
    process.removeAllListeners('SIGINT');
  });

  it('tells a service manager that waits for it when it answers, as itself', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'bough-main-'));
    const noted = join(dir, 'noted');
    // In the place of systemd's, which speaks for the process that started it.
    const script = `#!/bin/sh\necho "$* $NOTIFY_SOCKET $PPID" > ${noted}; kill -TERM $PPID\n`;
    await writeFile(join(dir, 'systemd-notify'), script, { mode: 0o755 });
    const env = { ...quiet, NOTIFY_SOCKET: '/run/manager', PATH: `${dir}:${process.env['PATH'] ?? ''}` };
    let isListening = false;
    await runDaemon({ listen: '127.0.0.1:0', stateDir: '/nowhere' }, env, {
      openHost: () => Promise.resolve(fakeHost()),
      onListening: () => (isListening = true),
    });
    assert.ok(isListening);
    assert.equal(await readFile(noted, 'utf8'), `--ready --no-block /run/manager ${process.pid}\n`);
    process.removeAllListeners('SIGTERM');
    process.removeAllListeners('SIGINT');
    await rm(dir, { recursive: true });
  });

  it('ends whole where it cannot tell its service manager', async () => {
    const env = { ...quiet, NOTIFY_SOCKET: '/run/manager', PATH: '/nowhere' };
    let address = '';
    const running = runDaemon({ listen: '127.0.0.1:0', stateDir: '/nowhere' }, env, {
      openHost: () => Promise.resolve(fakeHost()),
      onListening: (told) => (address = told.address),
    });
    await assert.rejects(running, { code: 'ENOENT' });
    await assert.rejects(fetch(`${address}/healthz`));
    process.removeAllListeners('SIGTERM');
    process.removeAllListeners('SIGINT');
  });

  it('refuses what may not start before it opens a host', async () => {
    const open = () => Promise.reject(new Error('opened'));
    await assert.rejects(runDaemon({ listen: '0.0.0.0:0' }, quiet, { openHost: open }), /without a token/);
    await assert.rejects(runDaemon({ logLevel: 'x' }, quiet, { openHost: open }), /--log-level/);
  });

  it('refuses a hot folder that is not in memory, and a state folder that cannot be one', async () => {
    const [stateDir, hotDir] = [await mkdtemp('/var/tmp/bough-main-'), await mkdtemp('/dev/shm/bough-main-')];
    await writeFile(join(stateDir, 'file'), '');
    const start = (folders: { hotDir: string; stateDir: string }) =>
      runDaemon({ listen: '127.0.0.1:0', ...folders }, quiet);
    await assert.rejects(start({ stateDir, hotDir: stateDir }), /hot folder: .* is not on tmpfs/);
    await assert.rejects(start({ hotDir, stateDir: join(stateDir, 'file') }), /state folder: .*ENOTDIR/);
    for (const dir of [stateDir, hotDir]) await rm(dir, { recursive: true });
  });

  it('closes the host when it cannot listen', async () => {
    let isClosed = false;
    const close = () => {
      isClosed = true;
      return Promise.resolve();
    };
    const listen = '[2001:db8::1]:0';
    const dir = await mkdtemp(join(tmpdir(), 'bough-main-'));
    const tokenFile = join(dir, 'token');
    await writeFile(tokenFile, 'k3jf8s7d6f5g4h3j2k1l0q9w8e7r6t5y', { mode: 0o600 });
    const open = () => Promise.resolve(fakeHost({ close }));
    await assert.rejects(
      runDaemon({ listen, tokenFile }, quiet, { openHost: open }),
      /Cannot listen on|EAFNOSUPPORT/,
    );
    await rm(dir, { recursive: true });
    assert.ok(isClosed);
  });
});
