import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CliDaemon } from '../../test/support/cli-daemon.js';

describe('bough snapshot create --like', () => {
  let daemon: CliDaemon;
  before(async () => {
    daemon = await CliDaemon.open();
  });
  after(() => daemon.close());

  it('makes one again as it was made, for as long as is said', async (t) => {
    const create = t.mock.method(daemon.host, 'createSnapshot');
    const args = ['snapshot', 'create', '--tag', 'again', '--like', 'base', '--expires', '1h'];
    assert.equal(await daemon.printed(...args), 'again\n');
    const asked = create.mock.calls.at(-1)?.arguments[0];
    assert.deepEqual([asked?.tag, asked?.image], ['again', { like: 'base' }]);
    assert.notEqual(asked?.retention, undefined);
  });

  it('takes nothing besides that says how to boot', async (t) => {
    const create = t.mock.method(daemon.host, 'createSnapshot');
    for (const besides of ['--image i', '--kernel /k --rootfs /r', '--memory 512', '--vcpus 2', '--start']) {
      const args = ['snapshot', 'create', '--tag', 'more', '--like', 'base', ...besides.split(' ')];
      const { code, stderr } = await daemon.run(args);
      assert.equal(code, 1, besides);
      assert.match(stderr, /cannot be combined with "like"/);
    }
    assert.equal(create.mock.callCount(), 0);
  });
});
