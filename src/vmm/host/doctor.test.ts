import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { checkDurableDir, checkHotDir } from './check-folders.js';
import { checkGate } from './check-gate.js';
import { checkPageTracking, describePagerFacts } from './check-kernel.js';
import { runDoctor } from './doctor.js';
import type { QemuFacts } from './probe.js';
import { processStartTicks } from '../process/process-identity.js';

let dir = '';
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bough-doctor-'));
});
after(() => rm(dir, { recursive: true }));

describe('checkPageTracking()', () => {
  it('tells asynchronous, synchronous and no tracking apart by the kernel release', () => {
    const statusOf = (release: string): string => checkPageTracking(release).status;
    assert.equal(statusOf('6.18.44-x'), 'ok');
    assert.equal(statusOf('6.7.0'), 'ok');
    assert.equal(statusOf('6.6.99'), 'warn');
    assert.equal(statusOf('5.19.0-1-amd64'), 'warn');
    assert.equal(statusOf('5.10.0'), 'fail');
    assert.equal(statusOf('garbage'), 'fail');
  });
});

describe('describePagerFacts()', () => {
  it('lists facts, warns about missing ones and fails on nonsense', () => {
    assert.equal(
      describePagerFacts('pager', '{"scan": true, "tracking": "async"}').found,
      'scan true, tracking async',
    );
    assert.match(describePagerFacts('pager', '{"scan": false}').remedy ?? '', /Missing: scan/);
    assert.equal(describePagerFacts('pager', 'oops').status, 'fail');
  });
});

describe('folder checks', () => {
  it('accept what is usable, also before it exists, and leave nothing behind', async () => {
    const check = await checkDurableDir('state folder', join(dir, 'not', 'there', 'yet'));
    assert.notEqual(check.status, 'fail');
    assert.notEqual((await checkHotDir('/dev/shm/bough-doctor-none')).status, 'fail');
    assert.deepEqual(await readdir(dir), []);
  });

  it('remove what one left that was killed, and nothing of one that runs', async () => {
    const killed = spawnSync(process.execPath, ['--version']).pid;
    const ticks = (await processStartTicks(process.pid)) ?? 0;
    const running = `.tmp-doctor-${process.pid}-${ticks}-abcdef`;
    // A container's first process has the same number every time.
    for (const name of [`.tmp-doctor-${killed}-1-x`, `.tmp-doctor-${process.pid}-${ticks - 1}-y`, running])
      await mkdir(join(dir, name, 'sub'), { recursive: true });
    await checkDurableDir('state folder', join(dir, 'not', 'there', 'yet'));
    assert.deepEqual(await readdir(dir), [running]);
    await rm(join(dir, running), { recursive: true });
  });

  it('fail where nothing can be written, and on a folder that is a file', async () => {
    assert.match((await checkHotDir('/proc')).found, /cannot be written/);
    const file = join(dir, 'file');
    await writeFile(file, '');
    assert.equal((await checkDurableDir('state folder', file)).status, 'fail');
    await rm(file);
  });
});

describe('checkGate()', () => {
  it('fails where QEMU has no gate to hold it, and warns where there is no QEMU', async () => {
    const found = async (qemu: QemuFacts | string) => checkGate(qemu, '/nowhere/libgate.so');
    assert.equal((await found('no QEMU')).status, 'warn');
    const qemuPath = join(dir, 'idle');
    await writeFile(qemuPath, '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const check = await found({ qemuPath } as QemuFacts);
    assert.match(`${check.status}: ${check.found}`, /^fail: .*QEMU has ended/);
  });
});

describe('runDoctor()', () => {
  it('says of an accelerator that was set that it was, image or not', async () => {
    const qemuPath = join(dir, 'qemu');
    const answers = [
      { QMP: { version: { qemu: { major: 9, minor: 1, micro: 0 } }, capabilities: [] } },
      { return: {}, id: 0 },
      { return: [{ alias: 'pc', name: 'pc-i440fx-9.1' }], id: 1 },
    ].map((answer) => JSON.stringify(answer));
    await writeFile(qemuPath, `#!/bin/sh\ncat <<'END'\n${answers.join('\n')}\nEND\n`, { mode: 0o755 });
    const folders = { stateDir: dir, cacheDir: dir, hotDir: '/dev/shm' };
    const checks = await runDoctor({ ...folders, qemuPath, accelerator: 'kvm' });
    assert.equal(checks.find(({ name }) => name === 'accelerator')?.found, 'kvm: set, not tried');
  });

  it('reports a host without QEMU as failed, with a remedy for everything that is not ok', async () => {
    const qemuPath = join(dir, 'no-qemu');
    const checks = await runDoctor({ stateDir: dir, cacheDir: dir, hotDir: '/dev/shm', qemuPath });
    const qemu = checks.find((check) => check.name === 'qemu');
    assert.equal(qemu?.status, 'fail');
    for (const check of checks) {
      assert.notEqual(check.found, '', check.name);
      if (check.status !== 'ok') assert.notEqual(check.remedy ?? '', '', check.name);
    }
  });
});
