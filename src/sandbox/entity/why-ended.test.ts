import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { whyEnded } from './why-ended.js';

const PANIC = [
  '[   31.4] sysrq: Trigger a crash',
  '[   31.4] Kernel panic - not syncing: sysrq triggered crash',
  '[   31.4] CPU: 0 PID: 311 Comm: sh Not tainted 6.1.0-56-cloud-amd64 #1',
].join('\n');

describe('whyEnded()', () => {
  const exit = { code: 0, signal: null };
  const ended = (reason: string | undefined, consoleTail = ''): string =>
    whyEnded(exit, { reason, consoleTail }, 'noise');

  it('is what the guest did, whatever the process said', () => {
    assert.equal(ended('guest-shutdown'), 'its guest powered off');
    assert.match(ended('guest-reset', 'login: '), /rebooted/);
    assert.match(ended('guest-panic'), /panicked/);
    assert.match(ended(undefined), /while no daemon ran/);
  });

  it('is the panic by its own words, of a guest that rebooted for it', () => {
    assert.equal(ended('guest-reset', PANIC), 'kernel panic: sysrq triggered crash');
    assert.equal(ended(undefined, PANIC), 'kernel panic: sysrq triggered crash');
    assert.equal(ended('guest-shutdown', PANIC), 'its guest powered off');
    const endless = `Kernel panic - not syncing: ${'x'.repeat(9000)}`;
    assert(ended('guest-reset', endless).length < 300);
  });

  it('is how the process ended, with the last line of its log, when nobody or the host ended the guest', () => {
    assert.equal(whyEnded({ code: 1, signal: null }, undefined, ''), 'its VMM exited with status 1');
    assert.equal(
      whyEnded({ code: null, signal: 'SIGABRT' }, undefined, 'qemu: first\nqemu: assertion failed\n'),
      'its VMM was ended by SIGABRT: qemu: assertion failed',
    );
    assert.equal(whyEnded('gone', undefined, '\n'), 'its process is gone');
  });
});
