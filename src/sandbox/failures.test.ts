import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import { BoughError } from '../contract/index.js';
import { PagerError } from '../pager/index.js';
import { toCatalogue } from './failures.js';

const systemError = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code });

/** The code and the arguments it becomes. */
function catalogued(error: unknown): [string, unknown] | undefined {
  const made = toCatalogue(error, { operation: 'start a child' });
  return made instanceof BoughError ? [made.code, made.details] : undefined;
}

describe('toCatalogue()', () => {
  it('calls a quota that is used up what a full disk is', () => {
    for (const name of ['ENOSPC', 'EDQUOT'] as const) {
      const [code, details] = catalogued(new PagerError('branch', constants.errno[name], false)) ?? [];
      assert.deepEqual([code, details], ['no_space', { store: 'hot', needed_bytes: 0, available_bytes: 0 }]);
      assert.equal(catalogued(systemError(name))?.[0], 'no_space');
    }
    // As Node has it.
    assert.equal(catalogued(systemError('Unknown system error -122'))?.[0], 'no_space');
    assert.equal(catalogued(new PagerError('branch', constants.errno.EIO, false))?.[0], 'vmm_failed');
  });
});
