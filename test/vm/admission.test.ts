import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { isBoughError } from '../../src/contract/index.js';
import { childBytes } from '../../src/sandbox/start/admission.js';
import { SETTLED_SECS } from '../../src/sandbox/start/starts.js';
import { sleep } from '../../src/base/index.js';
import { Lab } from '../support/lab.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

/** More than any machine has room for. */
const TOO_MANY = 100_000;

describe('admission of children', { timeout: 180_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('admission');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  /** What one more child of the template is charged, as the refusal of too many says. */
  async function chargedBytes(): Promise<number> {
    const refused = await lab.host
      .spawn({ snapshotTag: TEMPLATE_TAG, count: TOO_MANY })
      .catch((e: unknown) => e);
    assert(isBoughError(refused, 'no_memory'), String(refused));
    return (refused.details as { needed_bytes: number }).needed_bytes / TOO_MANY;
  }

  it('goes by what children of the same snapshot were seen to own', async () => {
    const children = [await lab.spawn(), await lab.spawn()];
    for (const child of children) assert.equal(await child.python('6 * 7'), '42');
    await sleep((SETTLED_SECS + 1) * 1000);
    const { memoryMiB } = await lab.host.getSandbox(children[0]?.id ?? '');
    const charged = await chargedBytes();
    assert(charged < childBytes(memoryMiB), `${charged} bytes a child`);

    const [first] = children;
    assert(first);
    await first.python('globals().update(memory=bytearray(b"x") * (300 << 20))');
    await lab.host.removeSandbox(children[1]?.id ?? '');
    const chargedLater = await chargedBytes();
    assert(chargedLater > 300 << 20, `${chargedLater} bytes a child`);
  });
});
