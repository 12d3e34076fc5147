import assert from 'node:assert/strict';
import { open, readdir, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { makeFixture, PAGE, RAM_BYTES } from '../../../test/support/store-fixture.js';

const isRoot = process.getuid?.() === 0;
const machine = {
  qemuVersion: '7.2.22',
  machineType: 'pc-i440fx-7.2',
  accel: 'tcg',
  cpuModel: 'max',
  vcpus: 1,
  memoryMiB: 1,
  deviceLayout: 1,
} as const;

describe('files that were lent to the user of a VMM', { skip: !isRoot }, () => {
  for (const mode of ['live', 'full', 'diff'] as const)
    it(`are the daemon's again in a snapshot that is published (${mode})`, async (t) => {
      const fixture = await makeFixture(t);
      const store = await fixture.reopen();
      const draft = await store.draft({ mode, tag: mode });
      await draft.lendTo({ uid: 54_321 });
      const memory = await open(draft.memoryPath, 'r+');
      await memory.truncate(RAM_BYTES);
      await memory.write(Buffer.alloc(PAGE, 1), 0, PAGE, 0);
      await memory.close();
      await writeFile(draft.vmstatePath, 'devices');
      await writeFile(draft.tail.path, 'tail');
      await draft.publish({
        memory: { runs: [[0, PAGE]], logicalBytes: RAM_BYTES, isDurable: false },
        ...{ hasTail: true, pauseMs: 1, machine },
        image: { name: 'image', digest: 'sha256:0' },
        agent: { secret: 'secret', guestPort: 7000 },
      });
      assert.equal(store.get(mode).status, 'ready');
      const names = await readdir(fixture.hotDir, { recursive: true });
      const published = names.filter((name) => name.endsWith(basename(draft.memoryPath)));
      assert.equal(published.length, 1);
      for (const name of published) assert.equal((await stat(join(fixture.hotDir, name))).uid, 0);
    });
});
