import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadTokenCheck } from './token.js';

describe('the token file', () => {
  const token = 'k3jf8s7d6f5g4h3j2k1l0q9w8e7r6t5y';
  let dir: string;
  before(async () => (dir = await mkdtemp(join(tmpdir(), 'bough-token-'))));
  after(async () => rm(dir, { recursive: true }));

  async function file(text: string, mode = 0o600): Promise<string> {
    const path = join(dir, 'token');
    await rm(path, { force: true });
    await writeFile(path, text);
    await chmod(path, mode);
    return path;
  }

  it('is read without its line end', async () => {
    for (const mode of [0o600, 0o400]) {
      const isToken = await loadTokenCheck(await file(`${token}\n`, mode));
      assert.ok(isToken(token));
      assert.ok(!isToken(`${token}\n`));
      assert.ok(!isToken(''));
    }
  });

  it('is refused when others may read it', async () => {
    for (const mode of [0o644, 0o640, 0o604, 0o700]) {
      await assert.rejects(
        loadTokenCheck(await file(token, mode)),
        /its mode is 0\d+, which must be 0600 or 0400/,
      );
    }
  });

  it('is refused when empty, short, a placeholder or not plain', async () => {
    await assert.rejects(loadTokenCheck(await file('')), /has 0 characters/);
    await assert.rejects(loadTokenCheck(await file('a'.repeat(31))), /at least 32/);
    await assert.rejects(loadTokenCheck(await file('x'.repeat(40))), /placeholder/);
    await assert.rejects(loadTokenCheck(await file(`${token} ${token}`)), /printable ASCII/);
  });

  it('is refused when missing, a symbolic link or a directory', async () => {
    await assert.rejects(loadTokenCheck(join(dir, 'absent')), /does not exist/);
    await symlink(await file(token), join(dir, 'link'));
    await assert.rejects(loadTokenCheck(join(dir, 'link')), /symbolic link/);
    await assert.rejects(loadTokenCheck(dir), /not a regular file/);
  });
});
