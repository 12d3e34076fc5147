import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseForwardPort } from './host-forward.js';

const TABLE = [
  'Hub -1 (net0):',
  '  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ',
  '  TCP[ESTABLISHED]   9       127.0.0.1 50001       10.0.2.15  5000     0     0',
  '  TCP[HOST_FORWARD]   8       127.0.0.1 46833       10.0.2.15  5000     0     0',
  '',
].join('\r\n');

describe('parseForwardPort()', () => {
  it('finds the forward to the agent, not a connection through it', () => {
    assert.equal(parseForwardPort(TABLE, 5000), 46833);
  });

  it('finds nothing for another guest port', () => {
    assert.equal(parseForwardPort(TABLE, 46833), undefined);
    assert.equal(parseForwardPort('', 5000), undefined);
  });
});
