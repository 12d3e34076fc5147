import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import { AgentUnreachable } from '../../agent/index.js';
import { DeadlineExceeded, ResourceStack } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import { PagerError } from '../../pager/index.js';
import { NotDurable } from '../../store/index.js';
import { toCatalogue } from './failures.js';

const systemError = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code });

/** What is thrown where work fails and then its undo as well. */
async function suppressed(ofUndo: Error, ofWork: Error): Promise<unknown> {
  try {
    await using undo = new ResourceStack();
    undo.defer(() => Promise.reject(ofUndo));
    throw ofWork;
  } catch (error) {
    return error;
  }
}

/** The code and the arguments it becomes. */
function catalogued(error: unknown): [string, unknown] | undefined {
  const made = toCatalogue(error, { operation: 'start a child' });
  return made instanceof BoughError ? [made.code, made.details] : undefined;
}

describe('toCatalogue()', () => {
  it('calls a quota that is used up what a full disk is', () => {
    for (const name of ['ENOSPC', 'EDQUOT'] as const) {
      const [code, details] = catalogued(new PagerError('branch', constants.errno[name])) ?? [];
      assert.deepEqual([code, details], ['no_space', { store: 'hot', needed_bytes: 0, available_bytes: 0 }]);
      assert.equal(catalogued(systemError(name))?.[0], 'no_space');
    }
    // As Node has it.
    assert.equal(catalogued(systemError('Unknown system error -122'))?.[0], 'no_space');
    assert.equal(catalogued(new PagerError('branch', constants.errno.EIO))?.[0], 'vmm_failed');
  });

  it('tells the durable store that is full from the hot one, and a kernel that cannot track writes', () => {
    const full = new PagerError('write the durable layer', constants.errno.ENOSPC);
    assert.equal((catalogued(full)?.[1] as { store: string }).store, 'durable');
    const none = new PagerError('track writes', constants.errno.EOPNOTSUPP);
    assert.equal(catalogued(none)?.[0], 'mode_unsupported');
    const sealed = new PagerError('create the layer', constants.errno.EOPNOTSUPP);
    assert.equal(catalogued(sealed)?.[0], 'vmm_failed');
  });

  it('says what did not come to its end in time', () => {
    const refused = catalogued(new DeadlineExceeded('Killing VMM process 7', 10_000));
    const problem = 'Killing VMM process 7 did not finish within 10000 ms';
    assert.deepEqual(refused, ['vmm_failed', { operation: 'start a child', problem }]);
  });

  it('asks for another try where a sandbox was not captured in time', () => {
    const late = new PagerError('save the device state', constants.errno.ETIMEDOUT);
    const made = toCatalogue(late, { operation: 'branch the sandbox', sandboxId: 'source' });
    assert(made instanceof BoughError);
    assert.deepEqual([made.code, made.retryable], ['branch_not_in_time', true]);
    assert.equal(catalogued(late)?.[0], 'vmm_failed');
  });

  it('names the sysctl where memory is in too many pieces, at the branch and at the start of a child', () => {
    for (const operation of [
      'keep the layer within vm.max_map_count',
      'map a layer: too many runs for vm.max_map_count',
    ]) {
      const refused = catalogued(new PagerError(operation, constants.errno.E2BIG));
      assert.deepEqual(refused, ['too_many_mappings', { operation: 'start a child' }]);
    }
  });

  it('finds a lack of file descriptors wherever it is the cause, and only there', async () => {
    for (const name of ['EMFILE', 'ENFILE']) {
      const cause = systemError(name);
      for (const error of [
        cause,
        new NotDurable('a', cause),
        new AgentUnreachable('No answer', { sent: false, cause }),
        await suppressed(new Error('undone'), cause),
        await suppressed(cause, new Error('begun')),
        new BoughError('boot_failed', { problem: 'no' }, { cause: new Error('no', { cause }) }),
      ]) {
        assert.deepEqual(catalogued(error), ['too_many_open_files', undefined], String(error));
      }
    }
    const { status, retryable } = new BoughError('too_many_open_files');
    assert.deepEqual([status, retryable], [503, true]);
    const own = new Error('its own cause');
    own.cause = own;
    assert.equal(catalogued(own), undefined);
    // That is QEMU's limit, and its own affair.
    assert.equal(catalogued(new PagerError('branch', constants.errno.EMFILE))?.[0], 'vmm_failed');
  });
});
