/** VMs whose gate does not do what it must: QEMUs that drop it, or cannot be held by it, in the place of the real one. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { after, afterEach, before, describe, it } from 'node:test';
import { networkPolicySchema } from '../../src/contract/index.js';
import { openHost } from '../../src/sandbox/host/open-host.js';
import { Lab } from '../support/lab.js';
import { TEMPLATE_TAG, TEST_QEMU_PATH } from '../support/test-host.js';

/** A QEMU with one thing changed in its environment. Static: what is preloaded is for QEMU alone. */
const PROGRAM = `
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char *gate = strstr(getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "", "libgate.so");
	(void)argc;
	if (gate != NULL) { CHANGE; }
	execv(QEMU, argv);
	return 127;
}
`;
/** Without the gate, which is the first of its libraries. */
const WITHOUT = 'setenv("LD_PRELOAD", gate + sizeof "libgate.so", 1)';
/** With a gate that finds nobody to tell that it is sealed. */
const ALONE = 'setenv("BOUGH_GATE_SOCKET", "/nowhere/gate", 1)';

describe('a VM whose gate does not hold', { timeout: 300_000 }, () => {
  let lab: Lab;
  let dir = '';
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'unsealed-'));
    lab = await Lab.open('unsealed');
  });
  afterEach(() => lab.clean());
  after(async () => {
    await lab.close();
    await rm(dir, { recursive: true });
  });

  for (const [why, change, agentIsReached] of [
    ['has no gate', WITHOUT, false],
    ['cannot tell the egress', ALONE, true],
  ] as const) {
    it(`is ended before its guest runs when it ${why}`, async () => {
      const qemu = join(dir, `qemu-${why.replaceAll(' ', '-')}`);
      const real = TEST_QEMU_PATH ?? '/usr/bin/qemu-system-x86_64';
      await writeFile(`${qemu}.c`, PROGRAM.replace('CHANGE', change).replace('QEMU', JSON.stringify(real)));
      await execa('musl-gcc', ['-static', '-o', qemu, `${qemu}.c`]);
      await lab.host.close();
      const emit = () => undefined;
      const folders = { ...lab.folders, isolation: 'none' } as const;
      lab.host = await openHost({ ...folders, qemuPath: qemu, maxConcurrentBranches: 4, emit });
      const off = networkPolicySchema.parse({ mode: 'off' });
      const started = lab.host.spawn({ snapshotTag: TEMPLATE_TAG, count: 1, network: off });
      await assert.rejects(started, { code: 'vmm_failed' });
      assert.deepEqual(await lab.host.listSandboxes(), []);
      assert.deepEqual(await readdir(join(lab.folders.stateDir, 'sandboxes')), []);
      // Without a network it is the way to the guest's agent and no more.
      if (agentIsReached) assert.equal(await (await lab.spawn()).shell('echo runs'), 'runs');
      else await assert.rejects(lab.spawn());
    });
  }
});
