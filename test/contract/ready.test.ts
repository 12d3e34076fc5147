import assert from 'node:assert/strict';
import { it } from 'node:test';
import { readyCheck } from '../../src/contract/v1/ready.js';

it('readyCheck() reads each kind, and nothing that is none', () => {
  assert.deepEqual(readyCheck('tcp:5432'), { kind: 'tcp', port: 5432 });
  assert.deepEqual(readyCheck('http:80'), { kind: 'http', port: 80, path: '/' });
  assert.deepEqual(readyCheck('http:8080/health?x=1'), { kind: 'http', port: 8080, path: '/health?x=1' });
  assert.deepEqual(readyCheck('file:/run/up'), { kind: 'file', path: '/run/up' });
  assert.deepEqual(readyCheck('log:ready: * up'), { kind: 'log', pattern: 'ready: * up' });
  assert.deepEqual(readyCheck('exec:pg_isready -q\n:'), {
    kind: 'exec',
    args: ['/bin/sh', '-c', 'pg_isready -q\n:'],
  });
  const none = ['', 'tcp', 'tcp:', 'tcp:0', 'tcp:65536', 'tcp:80/x', 'tcp:x', 'tcp: 80', 'http:80/a b'];
  for (const text of [
    ...none,
    'http:80/\r\nX: y',
    'file:run',
    'exec:',
    'log:',
    `log:${'x'.repeat(257)}`,
    'udp:53',
  ])
    assert.equal(readyCheck(text), undefined, text);
});
