import assert from 'node:assert/strict';
import { it } from 'node:test';
import { aRecord } from '../../../test/support/recorded-sandbox.js';
import { outlived } from './generations.js';

it('outlived() names the folders that a later generation of their sandbox has taken the place of', () => {
  const { process, ...unowned } = aRecord({ generation: 3 });
  assert(process !== undefined);
  const records = new Map([
    ['sb1', aRecord()],
    ['first', aRecord({ generation: 1 })],
    ['second', aRecord({ generation: 2 })],
    ['begun', unowned],
    ['other', aRecord({ id: 'other' })],
  ]);
  assert.deepEqual(outlived(records), ['sb1', 'first']);
  records.delete('second');
  assert.deepEqual(outlived(records), ['sb1']);
});
