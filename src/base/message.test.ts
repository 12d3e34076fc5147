import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { messageOf } from './message.js';

describe('messageOf()', () => {
  it('is the message of an error, and the text of anything else', () => {
    assert.equal(messageOf(new TypeError('no')), 'no');
    assert.equal(messageOf('text'), 'text');
    assert.equal(messageOf(undefined), 'undefined');
  });
});
