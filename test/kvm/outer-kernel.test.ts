import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { execa } from 'execa';

describe('the kernel that ran the guests', () => {
  it('has nothing to complain of', async () => {
    const { stdout } = await execa('dmesg');
    assert.match(stdout, /Linux version/);
    const complaints = stdout
      .split('\n')
      .filter((line) => /Oops|BUG:|WARNING:|Kernel panic|soft lockup/.test(line));
    assert.deepEqual(complaints, []);
  });
});
