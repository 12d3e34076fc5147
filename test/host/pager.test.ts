import { before } from 'node:test';
import { describePagerClient } from '../support/pager-suite.js';
import { buildServedVmm, ServedVmm } from '../support/served-vmm.js';

before(buildServedVmm);

describePagerClient('the library in a VMM', () => ServedVmm.start());
