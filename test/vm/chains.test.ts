import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { CHAIN_HARD_LIMIT, CHAIN_LIMIT } from '../../src/sandbox/disk/fold.js';
import { LAYER_LIMIT } from '../../src/sandbox/branch/lineage.js';
import { readRecord, type SandboxRecord } from '../../src/sandbox/entity/record.js';
import { assertDiskFiles } from '../support/disk-files.js';
import { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';

const WRITE_2_MIB = 'head -c 2097152 /dev/urandom > /root/$1 && sync && sha256sum /root/$1 >> /root/sums';

describe('chains of a source and of generations', { timeout: 600_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('chains');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  const stateDirOf = ({ id }: Guest): string => join(lab.folders.stateDir, 'sandboxes', id);
  const recordOf = (guest: Guest): Promise<SandboxRecord> =>
    readRecord(join(stateDirOf(guest), 'record.json'));
  const write = async (guest: Guest, name: string): Promise<void> => {
    const { exit_code, stderr } = await guest.exec(['sh', '-c', WRITE_2_MIB, 'sh', name]);
    assert.equal(exit_code, 0, stderr);
  };
  const sumsHold = async (guest: Guest): Promise<number> => {
    await guest.shell('echo 3 > /proc/sys/vm/drop_caches');
    return (await guest.shell('sha256sum -c /root/sums')).split('\n').length;
  };
  const folded = async (guest: Guest): Promise<SandboxRecord> => {
    for (;;) {
      const record = await recordOf(guest);
      if (record.disks.length < CHAIN_LIMIT) return record;
      await sleep(50);
    }
  };

  it('a source that is branched and written to again and again keeps a short disk chain', async () => {
    const source = await lab.spawn();
    const tags: string[] = [];
    let longest = 0;
    for (let index = 0; index < CHAIN_HARD_LIMIT + 4; index++) {
      await write(source, `file${index % 4}-${index}`);
      tags.push(await lab.branch(source));
      longest = Math.max(longest, (await recordOf(source)).disks.length);
    }
    assert(longest > 2 && longest <= CHAIN_HARD_LIMIT, `longest chain: ${longest}`);
    const record = await folded(source);
    await assertDiskFiles(stateDirOf(source), record);
    assert.equal(await sumsHold(source), tags.length);
    for (const index of [0, CHAIN_LIMIT, tags.length - 1]) {
      const child = await lab.spawn(tags[index]);
      assert.equal(await sumsHold(child), index + 1);
      await lab.end(child);
    }
  });

  it('a line of generations stands on a bounded number of layers and disk files, and forgets nothing', async () => {
    let guest = await lab.spawn();
    await guest.python('trail = {}');
    const generations = LAYER_LIMIT + 3;
    let tag = '';
    for (let generation = 1; generation <= generations; generation++) {
      await guest.python(`trail[${generation}] = bytes([${generation}]) * 100000`);
      await guest.shell(`echo ${generation} >> /root/trail`);
      const before = guest;
      tag = await lab.branch(guest);
      guest = await lab.spawn(tag);
      await lab.end(before);
      const { layers } = await recordOf(guest);
      assert(layers.length <= LAYER_LIMIT, `generation ${generation} stands on ${layers.length} layers`);
    }
    const { chainDepth: depth } = await lab.host.snapshotInfo(tag);
    assert(depth < LAYER_LIMIT);
    const whole = `all(trail[n] == bytes([n]) * 100000 for n in range(1, ${generations + 1}))`;
    assert.equal(await guest.python(whole), 'True');
    assert.equal((await guest.shell('cat /root/trail')).split('\n').length, generations);
  });

  it('a full branch stands on nothing', async () => {
    const source = await lab.spawn();
    await source.python("x = 'kept'");
    const tag = await lab.branch(source, { mode: 'full' });
    assert.equal((await lab.host.snapshotInfo(tag)).chainDepth, 1);
    const child = await lab.spawn(tag);
    assert.equal(await child.python('x'), "'kept'");
  });
});
