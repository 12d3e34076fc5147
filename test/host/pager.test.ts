import assert from 'node:assert/strict';
import { before, it } from 'node:test';
import { describePagerClient } from '../support/pager-suite.js';
import { buildServedVmm, ServedVmm } from '../support/served-vmm.js';

before(buildServedVmm);

describePagerClient('the library in a VMM', () => ServedVmm.start());

it('a fake VMM that ends when it is to start or to do something says so', { timeout: 10_000 }, async () => {
  await assert.rejects(ServedVmm.start({ belowPath: '/nowhere' }), /ended at its start/);
  const vmm = await ServedVmm.start();
  await assert.rejects(vmm.behave('nonsense' as 'fine'), /ended at "script nonsense"/);
  await vmm.close();
});
