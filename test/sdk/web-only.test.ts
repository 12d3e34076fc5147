/** What the SDK needs of where it runs. Deno, Bun and browsers themselves are not had here; the APIs that they share with Node are. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

describe('the built SDK', { timeout: 60_000 }, () => {
  it('needs web APIs and no other module: calls, streams and errors work in a realm that has nothing else', async () => {
    const program = fileURLToPath(new URL('web-realm.js', import.meta.url));
    const { stdout } = await execa(process.execPath, ['--experimental-vm-modules', '--no-warnings', program]);
    const { modules, ...report } = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual(report, {
      sandbox: 's1',
      printed: 'hello',
      error: 'sandbox_not_found',
      url: 'http://127.0.0.1:8889',
    });
    assert(typeof modules === 'number' && modules > 20, String(modules));
  });
});
