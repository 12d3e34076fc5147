import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { afterEach, describe, it } from 'node:test';
import {
  armFailpoint,
  armFailpoints,
  disarmFailpoints,
  failpoint,
  FailpointError,
  firedFailpoints,
  shortened,
} from './failpoint.js';

describe('failpoints', () => {
  afterEach(disarmFailpoints);

  it('do nothing while nothing is armed', () => {
    assert.equal(failpoint('a.b'), undefined);
    assert.equal(shortened('a.write', 100), 100);
  });

  it('happen once, when it is their turn, and only where they are', async () => {
    armFailpoints('a.b:3=error,a.write=short');
    await failpoint('a.b');
    await failpoint('a.c');
    await failpoint('a.b');
    await assert.rejects(async () => failpoint('a.b'), FailpointError);
    await failpoint('a.b');
    assert.deepEqual([shortened('a.write', 100), shortened('a.write', 100)], [50, 100]);
    assert.deepEqual(firedFailpoints(), ['a.b', 'a.write']);
  });

  it('throw what a system call would', async () => {
    armFailpoints('a.b=errno:ENOSPC');
    await assert.rejects(async () => failpoint('a.b'), { code: 'ENOSPC', errno: -28 });
  });

  it('wait, or call a function', async () => {
    let calls = 0;
    armFailpoints('a.b=delay:1');
    armFailpoint('a.c', () => calls++);
    await failpoint('a.b');
    await failpoint('a.c');
    assert.equal(calls, 1);
  });

  it('kill the process', () => {
    const module = JSON.stringify(new URL('failpoint.js', import.meta.url).href);
    const script = `import { armFailpoints, failpoint } from ${module};
      armFailpoints('a.b=abort'); await failpoint('a.b'); console.log('alive');`;
    const { signal, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    assert.deepEqual({ signal, stdout }, { signal: 'SIGKILL', stdout: '' });
  });

  for (const text of ['a.b', 'a=abort', 'a.b=never', 'a.b:0=abort', 'a.b=errno:EWHAT', 'a.b=delay:-1']) {
    it(`are not armed by ${JSON.stringify(text)}`, () => {
      assert.throws(() => armFailpoints(text), TypeError);
    });
  }
});
