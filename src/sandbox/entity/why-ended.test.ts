import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { whyEnded } from './why-ended.js';

describe('whyEnded()', () => {
  it('is what the guest did, whatever the process said', () => {
    const exit = { code: 0, signal: null };
    assert.equal(whyEnded(exit, 'guest-shutdown', 'noise'), 'its guest powered off');
    assert.match(whyEnded(exit, 'guest-reset', ''), /rebooted/);
    assert.match(whyEnded('gone', 'guest-panic', ''), /panicked/);
  });

  it('is how the process ended, with the last line of its log, when nobody or the host ended the guest', () => {
    assert.equal(whyEnded({ code: 1, signal: null }, undefined, ''), 'its VMM exited with status 1');
    assert.equal(
      whyEnded({ code: null, signal: 'SIGABRT' }, 'host-signal', 'qemu: first\nqemu: assertion failed\n'),
      'its VMM was ended by SIGABRT: qemu: assertion failed',
    );
    assert.equal(whyEnded('gone', undefined, '\n'), 'its process is gone');
  });
});
