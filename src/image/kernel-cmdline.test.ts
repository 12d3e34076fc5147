import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { kernelCmdline } from './kernel-cmdline.js';

const TCG_ONLY = ['mitigations=off', 'no_timer_check', 'tsc=unstable', 'norandmaps'];
const words = (...of: Parameters<typeof kernelCmdline>): string[] => kernelCmdline(...of).split(' ');

describe('kernelCmdline()', () => {
  it('keeps the workarounds of emulation from a guest on real hardware', () => {
    const kvm = words('kvm', {});
    assert(kvm.includes('console=ttyS0') && kvm.includes('root=/dev/vda'));
    for (const word of TCG_ONLY) assert(!kvm.includes(word), word);
    assert.deepEqual(
      words('tcg', {}).filter((word) => !kvm.includes(word)),
      TCG_ONLY,
    );
  });

  it('leaves addresses random where the image wants them so', () => {
    assert(!words('tcg', { randomAddresses: true }).includes('norandmaps'));
    assert.deepEqual(words('kvm', { randomAddresses: true }), words('kvm', {}));
  });
});
