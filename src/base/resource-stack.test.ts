import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ResourceStack } from './resource-stack.js';

describe('ResourceStack', () => {
  it('close() runs undos in reverse, once, waiting for each', async () => {
    const order: string[] = [];
    const stack = new ResourceStack();
    stack.defer(() => order.push('first'));
    stack.defer(async () => {
      await Promise.resolve();
      order.push('second');
    });
    const resource = stack.use({ close: () => order.push('third') });
    assert.equal(typeof resource.close, 'function');
    await Promise.all([stack.close(), stack.close()]);
    assert.deepEqual(order, ['third', 'second', 'first']);
  });

  it('close() runs every undo even when some throw, and reports all errors', async () => {
    let ran = false;
    const stack = new ResourceStack();
    stack.defer(() => (ran = true));
    stack.defer(() => {
      throw new Error('one');
    });
    stack.defer(() => Promise.reject(new Error('two')));
    await assert.rejects(stack.close(), (error: unknown) => {
      assert(error instanceof AggregateError);
      assert.deepEqual(
        error.errors.map((each: unknown) => (each as Error).message),
        ['two', 'one'],
      );
      return true;
    });
    assert(ran);
  });

  it('move() hands the undos on and closes the old stack', async () => {
    let undone = 0;
    const stack = new ResourceStack();
    stack.defer(() => undone++);
    const moved = stack.move();
    await stack.close();
    assert.equal(undone, 0);
    assert.throws(() => stack.defer(() => undefined), TypeError);
    await moved.close();
    assert.equal(undone, 1);
  });

  it('works with await using', async () => {
    let undone = false;
    {
      await using stack = new ResourceStack();
      stack.defer(() => (undone = true));
    }
    assert(undone);
  });
});
