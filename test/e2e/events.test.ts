import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { DaemonLab } from '../support/daemon-lab.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

describe('the metrics of a daemon', { timeout: 240_000 }, () => {
  let lab: DaemonLab;
  before(async () => {
    lab = await DaemonLab.open('events');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('count the branch that a sandbox ends with, which nobody asks for over the port', async () => {
    const ends = { timeout_secs: 1, on_end: 'snapshot', on_end_tag: 'last' } as const;
    await lab.client.sandboxes.spawn({ snapshot_tag: TEMPLATE_TAG, ...ends });
    while ((await lab.client.sandboxes.list()).length > 0) await sleep(100);
    await lab.listed('last', 'ready');
    const text = await lab.client.metrics();
    assert.match(text, /^bough_branch_pause_seconds_count\{mode="live"\} 1$/m);
    assert.match(text, /^bough_branch_duration_seconds_count\{mode="live"\} 1$/m);
  });
});
