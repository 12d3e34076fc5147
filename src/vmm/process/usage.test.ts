import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { it } from 'node:test';
import { processAnonymousBytes, processUsage } from './usage.js';

const MIB = 1 << 20;
const FREED_MIB = 32;

/** Makes memory of its own, tells when it has given it to the kernel, and waits. */
const PROGRAM = `
import mmap, sys
memory = mmap.mmap(-1, ${FREED_MIB} << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, len(memory), 4096): memory[at] = 1
memory.madvise(mmap.MADV_FREE)
print("freed", flush=True)
sys.stdin.read()`;

it('processUsage() leaves out memory that the kernel may take, processAnonymousBytes() does not', async (t) => {
  const child = spawn('python3', ['-c', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  await once(child.stdout, 'data');
  const pid = child.pid ?? assert.fail('it did not start');
  const { anonymousBytes } = await processUsage(pid);
  assert(processAnonymousBytes(pid) - anonymousBytes >= (FREED_MIB / 2) * MIB);
});
