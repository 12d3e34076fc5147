import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { DEFAULT_QEMU_PATH } from '../../src/vmm/index.js';
import { describeQmpClient, type QmpServerUnderTest } from '../support/qmp-suite.js';
import { TEST_QEMU_PATH } from '../support/test-host.js';

const QEMU = TEST_QEMU_PATH ?? DEFAULT_QEMU_PATH;

async function startEmptyMachine(): Promise<QmpServerUnderTest> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-qmp-'));
  const socketPath = join(dir, 'qmp.sock');
  const machine = ['-M', 'none', '-nodefaults', '-display', 'none', '-S', '-name', 'suite'];
  const qemu = spawn(QEMU, [...machine, '-qmp', `unix:${socketPath},server=on,wait=off`], {
    stdio: 'inherit',
  });
  const exited = once(qemu, 'exit');
  const giveUpMs = performance.now() + 5000;
  while (!existsSync(socketPath) && performance.now() < giveUpMs) await sleep(2);
  await sleep(5);
  return {
    socketPath,
    close: async () => {
      qemu.kill('SIGKILL');
      await exited;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

if (spawnSync(QEMU, ['--version']).status === 0) {
  describeQmpClient('QEMU', startEmptyMachine);
} else {
  describe('QmpClient with QEMU', () => {
    it('answers like the fake', { skip: `${QEMU} is not installed` }, () => undefined);
  });
}
