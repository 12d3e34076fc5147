import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { diskStateOf, type BlockGraph } from './disk-state.js';

/** A graph from edges written as `parent -role-> child`; names with a slash are devices. */
function graphOf(...edges: string[]): BlockGraph {
  const parsed = edges.map((edge) => /^(\S+) -(\w+)-> (\S+)$/.exec(edge)?.slice(1) ?? []);
  const names = [...new Set(parsed.flatMap(([parent = '', , child = '']) => [parent, child]))];
  return {
    nodes: names.map((name, id) => ({
      id,
      name,
      type: name.includes('/') ? 'block-backend' : 'block-driver',
    })),
    edges: parsed.map(([parent = '', name = '', child = '']) => ({
      ...{ parent: names.indexOf(parent), child: names.indexOf(child), name },
    })),
  };
}

const files = new Map([
  ['disk0-file', '/s/base.raw'],
  ['disk1-file', '/s/a.qcow2'],
  ['overlay1-file', '/s/overlay1.qcow2'],
]);

const chain = [
  '/machine/vda -root-> disk1',
  'disk1 -file-> disk1-file',
  'disk1 -backing-> disk0',
  'disk0 -file-> disk0-file',
];

describe('diskStateOf()', () => {
  it('lists the chain bottom first', () => {
    const state = diskStateOf(graphOf(...chain), files);
    assert.deepEqual(state.chain, [
      { node: 'disk0', path: '/s/base.raw' },
      { node: 'disk1', path: '/s/a.qcow2' },
    ]);
    assert.deepEqual(state.unused, []);
  });

  it('names the nodes that no device reaches', () => {
    const state = diskStateOf(graphOf(...chain, 'overlay1 -file-> overlay1-file'), files);
    assert.equal(state.chain.length, 2);
    assert.deepEqual(state.unused, ['overlay1', 'overlay1-file']);
  });

  it('refuses a VM without a disk, and a layer without a file', () => {
    assert.throws(() => diskStateOf(graphOf('overlay1 -file-> overlay1-file'), files), /0 disks/);
    assert.throws(() => diskStateOf(graphOf('/machine/vda -root-> disk1'), files), /disk1 has no file/);
  });
});
