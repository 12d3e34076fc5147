import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hostProcessor, processorIn } from './host-cpu.js';

describe('processorIn()', () => {
  it('tells one processor from another by vendor, family, model, stepping and name', () => {
    const cpuinfo = (stepping: number) =>
      `processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7763\nstepping\t: ${stepping}\n\n`;
    assert.equal(processorIn(cpuinfo(1) + cpuinfo(1)), 'AuthenticAMD 25 1 1 AMD EPYC 7763');
    assert.notEqual(processorIn(cpuinfo(1)), processorIn(cpuinfo(2)));
    assert.equal(processorIn(''), 'unknown');
  });

  it('finds this one', async () => {
    assert.match(await hostProcessor(), / \d+ \d+ /);
  });
});
