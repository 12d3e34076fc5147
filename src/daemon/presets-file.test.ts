import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ConfigError } from './config.js';
import { readPresets } from './presets-file.js';

describe('a file of presets', () => {
  let dir = '';
  before(async () => (dir = await mkdtemp(join(tmpdir(), 'presets-'))));
  after(() => rm(dir, { recursive: true }));

  async function read(text: string): ReturnType<typeof readPresets> {
    const path = join(dir, 'presets.json');
    await writeFile(path, text);
    return readPresets(path);
  }

  it('says what presets open, and may leave some out', async () => {
    assert.deepEqual(await readPresets(undefined), {});
    const presets = { python: [{ allow: 'index.example', ports: [443] }], github: [{ deny: 'x.example' }] };
    assert.deepEqual(await read(JSON.stringify(presets)), presets);
  });

  it('is refused with what is wrong in it', async () => {
    for (const [text, problem] of [
      ['{', /it is no JSON/],
      ['{"perl": []}', /perl/],
      ['{"python": []}', /"python"/],
      ['{"python": [{"allow": "a.example", "port": 1}]}', /"python\.0"/],
      ['{"python": [{"allow": "*"}]}', /"presets\.python\[0\]\.allow" would be every name/],
    ] as const)
      await assert.rejects(
        read(text),
        (error) => error instanceof ConfigError && problem.test(error.message),
        text,
      );
    await assert.rejects(readPresets(join(dir, 'absent')), /absent: it does not exist/);
  });
});
