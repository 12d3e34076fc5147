import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { lockFile, LockHeld, lockHolder } from './lock-file.js';

describe('lockFile()', () => {
  let dir = '';
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-lock-'));
  });
  after(() => rm(dir, { recursive: true }));

  it('admits one holder and names it to the second', async () => {
    const path = join(dir, 'a');
    const lock = await lockFile(path);
    await assert.rejects(lockFile(path), (error: unknown) => {
      assert(error instanceof LockHeld);
      assert.equal(error.message, `Cannot lock ${path}: held by process ${process.pid}`);
      return true;
    });
    await lock.close();
    await lock.close();
    await using again = await lockFile(path);
    assert.equal(again.path, path);
  });

  it('is free again after its holder was killed, though a child of the holder lives on', async () => {
    const path = join(dir, 'b');
    const script = `
      import { lockFile } from ${JSON.stringify(new URL('lock-file.js', import.meta.url).href)};
      import { spawn } from 'node:child_process';
      await lockFile(${JSON.stringify(path)});
      const child = spawn('sleep', ['30'], { stdio: 'ignore', detached: true });
      process.stdout.write(String(child.pid));
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [grandchild] = (await once(holder.stdout, 'data')) as [Buffer];
    try {
      await assert.rejects(lockFile(path), LockHeld);
      holder.kill('SIGKILL');
      await once(holder, 'exit');
      await using lock = await lockFile(path);
      assert.equal(lock.path, path);
    } finally {
      process.kill(Number(grandchild.toString()), 'SIGKILL');
    }
  });

  it('shows who holds it, and takes no pid for a holder that has not the file open', async () => {
    const path = join(dir, 'c');
    assert.equal(await lockHolder(path), undefined);
    const lock = await lockFile(path);
    assert.equal(await lockHolder(path), process.pid);
    await lock.close();
    assert.equal(await lockHolder(path), undefined);
    for (const text of [`${process.pid}\n`, '999999999\n', 'x', '', '0', '-1']) {
      await writeFile(path, text);
      assert.equal(await lockHolder(path), undefined, JSON.stringify(text));
    }
  });
});
