import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { describe, it } from 'node:test';
import { NoSpace } from '../errors.js';
import { Space } from './space.js';

describe('room for what is soon gone again', () => {
  it('is what nobody was promised, whatever the quota says', async () => {
    const space = new Space('durable', tmpdir(), { limitBytes: 1, usedBytes: () => Promise.resolve(1) });
    await assert.rejects(space.reserve(1), NoSpace);
    await space.check(1);
    const files = new Space('durable', tmpdir());
    const { freeBytes } = await files.measure();
    const promised = await files.reserve(Math.floor(freeBytes / 2));
    const most = Math.floor(freeBytes * 0.75);
    await assert.rejects(files.check(most), { name: 'NoSpace', neededBytes: most });
    promised.release();
    await files.check(most);
  });
});
