import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { nestedFaults } from '../../src/bench/nested-faults.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { limitMs } from '../support/time-limit.js';

/**
 * Sleeps as a guest sees them: seconds asked for, seconds slept by its monotonic clock, and by how many its wall clock went on more.
 * The two are read again until nothing came between: a guest may lose its processor at any instruction.
 */
const SLEEPS = `
import time
def ahead():
    while True:
        before, wall, after = time.monotonic(), time.time(), time.monotonic()
        if after - before < 0.01:
            return wall - before
def sleeps():
    seen = []
    for asked in (0.001, 0.01, 0.1, 0.5):
        at_first, mono = ahead(), time.monotonic()
        time.sleep(asked)
        slept = time.monotonic() - mono
        seen.append([asked, slept, ahead() - at_first])
    return seen`;
const CLOCK_STEP_SECS = 0.05;
/** Far more than is written between two branches, which is far more than a guest writes to answer. */
const READ_MIB = 100;
const REWRITTEN_MIB = 16;

describe('a guest under KVM', { timeout: limitMs(180_000) }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('kvm');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('has the clock of KVM, the mitigations of its kernel, and no virtual machines', async () => {
    const guest = await lab.spawn();
    const { isolation } = await lab.host.getSandbox(guest.id);
    assert.equal(isolation.accel, 'kvm');
    const clocks = '/sys/devices/system/clocksource/clocksource0';
    assert.equal(await guest.shell(`cat ${clocks}/current_clocksource`), 'kvm-clock');
    assert.doesNotMatch(await guest.shell('cat /proc/cmdline'), /mitigations|no_timer_check|tsc=/);
    const flags = (await guest.shell('grep -m1 ^flags /proc/cpuinfo')).split(' ');
    assert(flags.includes('lm'));
    assert.deepEqual(
      flags.filter((flag) => ['svm', 'vmx', 'npt', 'vgif'].includes(flag)),
      [],
    );
  });

  it('has timers that go off after a branch, in the source, in a child and in a child of the child', async () => {
    const source = await lab.spawn();
    await source.python(SLEEPS);
    const child = await lab.spawn(await lab.branch(source));
    const grandchild = await lab.spawn(await lab.branch(child, { mode: 'diff' }));
    for (const guest of [source, child, grandchild]) {
      for (const [asked = 0, slept = 0, step = NaN] of await guest.read<number[][]>('sleeps()')) {
        assert(slept >= asked, `slept ${slept} s of ${asked}`);
        assert(
          Math.abs(step) < CLOCK_STEP_SECS,
          `its wall clock went ${step} s further than its monotonic one`,
        );
      }
    }
  });

  it('goes on by its monotonic clock from the branch, and by the host’s wall clock', async () => {
    const source = await lab.spawn();
    await source.python('import time; began = time.monotonic()');
    const before = await monotonicSecs(source);
    const tag = await lab.branch(source);
    await sleep(3_000);
    const sourceSecs = await monotonicSecs(source);
    const child = await lab.spawn(tag);
    const childSecs = await monotonicSecs(child);
    assert(childSecs >= before, `${childSecs} s, before the branch ${before}`);
    assert(sourceSecs >= before + 3, `the source stood still: ${sourceSecs} after ${before}`);
    const askedAtMs = Date.now();
    const behindMs = askedAtMs - (await child.read<number>('time.time()')) * 1000;
    assert(behindMs < limitMs(100), `the child's clock is ${behindMs} ms behind`);
  });

  it('is not asked again for the pages it only reads, after a branch', async () => {
    const guest = await lab.spawn();
    const { pid } = await lab.host.getSandbox(guest.id);
    assert(pid !== undefined);
    const read = (): Promise<unknown> => guest.python('memory.sum()');
    await guest.python(`import numpy; memory = numpy.ones(${READ_MIB} << 17)`);
    for (const which of ['first', 'second', 'third']) {
      await guest.python(`memory[:${REWRITTEN_MIB} << 17].fill(2)`);
      await read();
      const before = await nestedFaults(pid);
      const tag = await lab.branch(guest);
      await read();
      const after = await nestedFaults(pid);
      assert(before !== undefined && after !== undefined, 'KVM counts no faults');
      const { capturedBytes } = await lab.host.getSnapshot(tag);
      const pages = (capturedBytes ?? 0) / 4096;
      console.log(`# nested faults of a ${which} branch: ${after - before}, of ${pages} pages captured`);
      assert(after - before <= 1.2 * pages, `${after - before} nested faults, ${pages} pages captured`);
    }
  });

  const monotonicSecs = (guest: Guest): Promise<number> => guest.read<number>('time.monotonic() - began');
});
