import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { Lab } from '../support/lab.js';

const WINDOW_MS = 5_000;
const WINDOWS = 4;
/** Of QEMU's main thread: 27 to 39 were seen; 106 to 119 while the guest's kernel looked every half second for memory to compact. */
const MOST_WAKE_UPS = 65;
/** Prints the configuration register of the HPET's timer 0, and needs its counter to run, since it tells the guest the time. */
const TIMER_0_OF_THE_HPET = `
import mmap, os, struct, time
registers = mmap.mmap(os.open('/dev/mem', os.O_RDONLY | os.O_SYNC), 4096, mmap.MAP_SHARED, mmap.PROT_READ, offset=0xfed00000)
read = lambda at: struct.unpack_from('<I', registers, at)[0]
before = read(0xf0)
time.sleep(0.01)
assert read(0xf0) != before
print(read(0x100))
`;
const TIMER_REPEATS_OR_INTERRUPTS = 0b1100;

describe('a guest that does nothing', { timeout: 120_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('idle');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('hardly wakes up its VMM', async (t) => {
    const { pid = 0 } = await lab.host.getSandbox((await lab.spawn()).id);
    const counts: number[] = [];
    for (let window = 0; window < WINDOWS; window++) {
      const before = await wakeUps(pid);
      await sleep(WINDOW_MS);
      counts.push((await wakeUps(pid)) - before);
    }
    // The first ones hold what its start left to do; the least is what never ends.
    t.diagnostic(`wake-ups in ${WINDOW_MS / 1000} s: ${counts.join(', ')}`);
    assert(Math.min(...counts) > 0);
    assert(Math.min(...counts) <= MOST_WAKE_UPS, counts.join(', '));
  });

  it('leaves no timer that repeats for nobody, as QEMU 10 would let it', async () => {
    const { id } = await lab.spawn();
    const { stdout } = await lab.host.exec(id, { args: ['python3', '-c', TIMER_0_OF_THE_HPET] });
    assert.equal(Number(stdout) & TIMER_REPEATS_OR_INTERRUPTS, 0, stdout);
  });
});

/** How often the main thread has slept so far. */
async function wakeUps(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/task/${pid}/status`, 'utf8');
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
}
