import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { before } from 'node:test';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PAGER_ENV_QMP, PAGER_ENV_SOCKET } from '../../src/pager/index.js';
import { describePagerClient, type PagerUnderTest } from '../support/pager-suite.js';

const NATIVE_DIR = fileURLToPath(new URL('../../../native/pager/', import.meta.url));

before(async () => {
  await promisify(execFile)('make', [
    '--silent',
    '-C',
    NATIVE_DIR,
    'build/libpager.so',
    'build/test/served_vmm',
  ]);
});

/**
 * The fake VMM of the pager's own tests with the real library in it. Ends with this process: its stdin does.
 */
async function startVmm(): Promise<PagerUnderTest> {
  const dir = await mkdtemp('/dev/shm/bough-pager-');
  const socketPath = join(dir, 'control');
  const vmm = spawn(join(NATIVE_DIR, 'build/test/served_vmm'), [dir], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      LD_PRELOAD: join(NATIVE_DIR, 'build/libpager.so'),
      [PAGER_ENV_SOCKET]: socketPath,
      [PAGER_ENV_QMP]: join(dir, 'qmp'),
    },
  });
  const exited = once(vmm, 'exit');
  const lines = createInterface(vmm.stdout);
  await once(lines, 'line');
  return {
    socketPath,
    dir,
    async run() {
      vmm.stdin.write('\n');
      await once(lines, 'line');
    },
    async close() {
      vmm.kill('SIGKILL');
      await exited;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

describePagerClient('the library in a VMM', startVmm);
