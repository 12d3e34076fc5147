import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { linesOf } from './log-lines.js';

it('linesOf() follows a log that is begun anew, and ends with the folder it is in', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'log-lines-'));
  const path = join(dir, 'log');
  appendFileSync(path, 'one\ntwo\nhal');
  const { signal } = new AbortController();
  const lines = linesOf(path, { follow: true, signal });
  const next = async (): Promise<string | undefined> => {
    const turn = await lines.next();
    return turn.done === true ? undefined : Buffer.from(turn.value).toString();
  };
  assert.equal(await next(), 'one\ntwo\n');
  appendFileSync(path, 'f\n');
  assert.equal(await next(), 'half\n');
  renameSync(path, `${path}.1`);
  appendFileSync(path, 'new\n');
  assert.equal(await next(), 'new\n');
  rmSync(dir, { recursive: true });
  assert.equal(await next(), undefined);
});
