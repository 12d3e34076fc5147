import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { chooseAccelerator, knownAccelerator, type ChooseAcceleratorOptions } from './accelerator.js';

describe('chooseAccelerator()', () => {
  let dir = '';
  let options: ChooseAcceleratorOptions;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-accelerator-'));
    const qemuPath = join(dir, 'qemu');
    await writeFile(qemuPath, `#!/bin/sh\necho run >> ${dir}/runs\necho "no guest here" >&2\nexit 3\n`);
    await chmod(qemuPath, 0o755);
    const kvmPath = join(dir, 'kvm');
    await writeFile(kvmPath, '');
    const qemu = { qemuPath, version: '7.2.0', machineType: 'pc-i440fx-7.2', seccomp: true };
    options = { qemu, kernelPath: '/kernel', cacheDir: dir, kvmPath, deadlineMs: 2_000 };
  });
  after(() => rm(dir, { recursive: true }));

  const runCount = async (): Promise<number> =>
    (await readFile(join(dir, 'runs'), 'utf8')).split('\n').length - 1;

  it('gives TCG at once, and the reason, where KVM does not open', async () => {
    const choice = await chooseAccelerator({ ...options, kvmPath: join(dir, 'absent') });
    assert.equal(choice.accelerator, 'tcg');
    assert.match(choice.reason, /absent cannot be used: ENOENT/);
    assert.deepEqual(await knownAccelerator({ ...options, kvmPath: join(dir, 'absent') }), choice);
    assert.equal(await knownAccelerator(options), undefined);
  });

  it('gives TCG where KVM opens and runs no guest, and remembers that for this boot and QEMU', async () => {
    const choice = await chooseAccelerator(options);
    assert.equal(choice.accelerator, 'tcg');
    assert.match(choice.reason, /opens but runs no guest: .*status 3: no guest here/);
    assert.equal((await chooseAccelerator(options)).cached, true);
    assert.equal((await knownAccelerator(options))?.accelerator, 'tcg');
    assert.equal(await runCount(), 1);
    await chooseAccelerator({ ...options, qemu: { ...options.qemu, version: '8.0.0' } });
    await chooseAccelerator({ ...options, fresh: true });
    assert.equal(await runCount(), 3);
  });

  it('gives TCG for now where a guest is only slow, and tries again the next time', async () => {
    const qemuPath = join(dir, 'slow-qemu');
    await writeFile(qemuPath, '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 });
    const slow = { ...options, qemu: { ...options.qemu, qemuPath, version: '9.0.0' }, deadlineMs: 100 };
    const choice = await chooseAccelerator(slow);
    assert.equal(choice.accelerator, 'tcg');
    assert.equal(await knownAccelerator(slow), undefined);
  });

  it('tries nothing where it is told', async () => {
    for (const wanted of ['kvm', 'tcg'] as const) {
      const choice = await chooseAccelerator({
        ...options,
        wanted,
        fresh: true,
        kvmPath: join(dir, 'absent'),
      });
      assert.deepEqual(choice, { accelerator: wanted, reason: 'set, not tried', cached: false });
    }
  });
});
