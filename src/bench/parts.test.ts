import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { growthRatios } from './consecutive.js';
import { longestEchoDuring } from './echo-probe.js';
import {
  diskWriterProgram,
  gapProgram,
  parseProgress,
  parseWritten,
  randomWriterProgram,
  rewriterProgram,
  writerProgram,
} from './guest-programs.js';
import { chosen, cpuModel, cpuTicks } from './host-facts.js';
import { parseRollup } from './process-memory.js';
import { fileUri, stoppedMs } from './stock-machine.js';

describe('growthRatios()', () => {
  it('compares the last branch of each round with the median of its first ten', () => {
    const round = (number: number, last: number) =>
      Array.from({ length: 20 }, (_, index) => ({
        round: number,
        branch: index + 1,
        value: index === 19 ? last : 2,
      }));
    assert.deepEqual(growthRatios([...round(1, 3), ...round(2, 2)]), [1.5, 1]);
  });
});

describe('longestEchoDuring()', () => {
  it('asks until the work has ended, and gives up on a port that does not answer', async () => {
    let asked = 0;
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        asked++;
        socket.end('x');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const agent = { host: '127.0.0.1', port };
    const work = async () => {
      while (asked < 3) await new Promise((resolve) => setImmediate(resolve));
      return 'done';
    };
    const { result, echoMs } = await longestEchoDuring(agent, work);
    assert.equal(result, 'done');
    assert(echoMs > 0);
    await new Promise((resolve) => server.close(resolve));
    await assert.rejects(
      longestEchoDuring(agent, () => Promise.resolve()),
      /ECONNREFUSED/,
    );
  });
});

describe('stoppedMs()', () => {
  it('sums what lies between stop and resume', () => {
    const events = [
      { event: 'MIGRATION', unixMs: 0 },
      { event: 'STOP', unixMs: 10 },
      { event: 'RESUME', unixMs: 15.5 },
      { event: 'STOP', unixMs: 20 },
      { event: 'RESUME', unixMs: 21 },
    ];
    assert.equal(stoppedMs(events), 6.5);
  });

  it('refuses a stop without an end, and no stop at all', () => {
    assert.throws(() => stoppedMs([{ event: 'STOP', unixMs: 1 }]));
    assert.throws(() => stoppedMs([]));
  });
});

describe('what is read from elsewhere', () => {
  it('QEMU writes files itself since 8.2', () => {
    assert.equal(fileUri({ version: '7.2.22' }, '/x'), 'exec:cat > /x');
    assert.equal(fileUri({ version: '8.2.0' }, '/x'), 'file:/x');
    assert.equal(fileUri({ version: '10.0.13' }, '/x'), 'file:/x');
  });

  it('facts of the host have words for what is missing', () => {
    assert.equal(cpuModel('processor\t: 0\nmodel name\t: A CPU\nmodel name\t: B\n'), 'A CPU');
    assert.equal(cpuModel(''), 'unknown');
    assert.equal(chosen('always [madvise] never\n'), 'madvise');
    assert.equal(chosen(''), 'unknown');
    assert.deepEqual(cpuTicks('cpu  10 1 5 80 2 0 1 7 0 0\ncpu0 1\n'), { all: 106, steal: 7 });
  });

  it('memory is in bytes', () => {
    const text = 'Rss:  900 kB\nPss:  100 kB\nPss_Anon:  7 kB\nPrivate_Clean:  1 kB\nPrivate_Dirty:  2 kB\n';
    assert.deepEqual(parseRollup(text), { pssBytes: 102_400, privateBytes: 3072 });
  });

  it('progress of the disk writer is nothing before it has some', () => {
    assert.equal(parseWritten(''), undefined);
    assert.deepEqual(parseWritten('812.000 3.500\n'), { writtenMiB: 812, seconds: 3.5 });
  });

  it('progress of the rewriter is nothing before its first pass', () => {
    assert.equal(parseProgress(''), undefined);
    assert.deepEqual(parseProgress('12 0 3.500\n'), { passes: 12, errors: 0, seconds: 3.5 });
  });
});

describe('guest programs', () => {
  it('compile', () => {
    for (const program of [
      gapProgram,
      randomWriterProgram,
      rewriterProgram,
      writerProgram,
      diskWriterProgram,
    ]) {
      execFileSync('python3', ['-c', 'import sys; compile(sys.stdin.read(), "program", "exec")'], {
        input: program,
      });
    }
  });
});
