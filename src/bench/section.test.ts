import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkWorthMeasuring } from './host-facts.js';
import { missedAny, resultMarkdown, resultText } from './report.js';
import { formatMs, formatRatio, limitVerdict, ratioVerdict, reached, type Section } from './section.js';

const section: Section = {
  name: 'x',
  title: 'Title',
  conditions: ['idle'],
  tables: [{ title: 'Times, ms', columns: ['mode', 'p50'], rows: [['live', '1.00'], ['a|b']] }],
  verdicts: [],
  csv: { columns: [], rows: [] },
};

const host = {
  date: '2024-01-01T00:00:00Z',
  cpu: 'A CPU',
  cpuCount: 2,
  memoryGiB: 24,
  kernel: '6.9',
  qemu: '7.2.22',
  node: '20.0.0',
  accelerator: 'tcg',
  guestMemoryMiB: 1536,
  transparentHugePages: 'madvise',
  virtualMachine: 'none',
  frequencyGovernor: 'performance',
};

const load = { loadBefore: 0.5, loadAfter: 2, stealPercent: 1.25 };

describe('ratioVerdict()', () => {
  it('holds up to its limit, and decides', () => {
    assert.deepEqual(ratioVerdict('p', 1, 20, 1 / 20), {
      promise: 'p',
      measured: '1/20.0',
      held: true,
      decides: true,
    });
    assert.equal(ratioVerdict('p', 1, 19, 1 / 20)?.held, false);
  });

  it('misses when what it measured failed', () => {
    assert.equal(ratioVerdict('p', Infinity, 20, 2)?.held, false);
    assert.equal(ratioVerdict('p', 1, Infinity, 2)?.held, false);
    assert.equal(ratioVerdict('p', Infinity, Infinity, 2)?.held, false);
  });

  it('says nothing about what was not measured', () => {
    assert.deepEqual(reached([ratioVerdict('p', undefined, 1, 1), limitVerdict('q', undefined, 1)]), []);
  });
});

describe('limitVerdict()', () => {
  it('is for orientation', () => {
    const verdict = limitVerdict('p', 3, 2);
    assert.deepEqual(verdict, { promise: 'p', measured: '3.00 ms', held: false, decides: false });
    assert.equal(limitVerdict('p', Infinity, 2)?.measured, 'failed');
    assert.equal(missedAny({ host, load, sections: [{ ...section, verdicts: reached([verdict]) }] }), false);
    const ratio = ratioVerdict('r', 3, 1, 2);
    assert.equal(missedAny({ host, load, sections: [{ ...section, verdicts: reached([ratio]) }] }), true);
  });
});

describe('numbers for people', () => {
  it('have three digits that mean something', () => {
    assert.deepEqual([0.1234, 12.34, 2345.6, Infinity].map(formatMs), ['0.123', '12.3', '2346', 'failed']);
    assert.deepEqual([0.05, 1.25, 1, Infinity, NaN].map(formatRatio), [
      '1/20.0',
      '1.25',
      '1.00',
      'failed',
      'failed',
    ]);
  });
});

describe('checkWorthMeasuring()', () => {
  it('refuses what an emulated processor does under KVM, and nothing else', () => {
    const emulated = { ...host, accelerator: 'kvm', virtualMachine: 'qemu' };
    assert.throws(() => checkWorthMeasuring(emulated), /nothing measured under its KVM is a speed/);
    checkWorthMeasuring({ ...emulated, accelerator: 'tcg' });
    checkWorthMeasuring({ ...emulated, virtualMachine: 'kvm' });
  });
});

describe('a result', () => {
  it('prints the facts of the host, the conditions and every table', () => {
    const verdicts = reached([ratioVerdict('promise', 1, 2, 1)]);
    const text = resultText({ host, load, sections: [{ ...section, verdicts }] });
    assert.match(text, /load 0\.50 before, 2\.00 after, steal 1\.3 %/);
    assert.match(text, /2 × A CPU, 24 GiB, Linux 6\.9/);
    assert.match(text, /virtual machine: none; frequency governor: performance/);
    assert.match(text, /Title\n {2}idle\n/);
    assert.match(text, /mode +p50\nlive +1\.00\n/);
    assert.match(text, /promise +1\/2\.0 +held/);
  });

  it('is valid Markdown tables with the verdicts first', () => {
    const verdicts = reached([limitVerdict('promise', 1, 2)]);
    const page = resultMarkdown({ host, load, sections: [{ ...section, verdicts }] });
    assert.match(page, /## Promises\n\n\* held \(orientation\): promise: 1\.00 ms\n/);
    assert.match(page, /\| mode \| p50 \|\n\| --- \| ---: \|\n\| live \| 1\.00 \|\n\| a\\\|b \|/);
  });
});
