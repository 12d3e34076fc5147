import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ResourceStack } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import type { Networks } from '../entity/networks.js';
import type { startVm, VmHost, VmRequest } from '../entity/vm.js';
import { bringUp } from './bring-up.js';

/** What was done with a VM, in order; `isSealed` is the word of its gate. */
async function broughtUp(gate: object | undefined, isSealed: boolean): Promise<string[]> {
  const done: string[] = [];
  const note = (what: string) => () => {
    done.push(what);
    return Promise.resolve();
  };
  const vmm = { kill: note('kill'), qmp: { execute: (command: string) => note(command)() } };
  const start = (() =>
    note('start')().then(() => ({ vmm, pager: { close: note('close') } }))) as unknown as typeof startVm;
  const requireSealed = (): Promise<void> => {
    done.push('look at the seal');
    if (isSealed) return Promise.resolve();
    return Promise.reject(new BoughError('vmm_failed', { operation: 'start', problem: 'not sealed' }));
  };
  const host = { vmHost: {} as VmHost, networks: { requireSealed } as unknown as Networks };
  const request = { paths: { id: 'a' }, ...(gate && { gate }) } as unknown as VmRequest;
  await using undo = new ResourceStack();
  await bringUp(host, request, undo, start).then(
    () => undo.move(),
    (error: unknown) => done.push((error as BoughError).code),
  );
  return done;
}

it('bringUp() lets no guest run before its gate has said that it is sealed, and ends the VMM of one that does not', async () => {
  assert.deepEqual(await broughtUp({}, true), ['start', 'look at the seal', 'cont']);
  assert.deepEqual((await broughtUp({}, false)).slice(0, 3), ['start', 'look at the seal', 'vmm_failed']);
  assert.deepEqual(await broughtUp(undefined, false), ['start', 'cont']);
});
