import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { missingNetworkWall, missingWalls } from './vmm-user.js';

const NONE = '0000000000000000';
const status = (changes: Readonly<Record<string, string>> = {}): string =>
  Object.entries({
    ...{ Name: 'qemu-system-x86', Uid: '7\t7\t7\t7', Gid: '7\t7\t7\t7', Groups: '9 ' },
    ...{ CapInh: NONE, CapPrm: NONE, CapEff: NONE, CapBnd: NONE, CapAmb: NONE, NoNewPrivs: '1' },
    ...changes,
  })
    .map(([field, value]) => `${field}:\t${value}\n`)
    .join('');

describe('what /proc tells of the walls around a VMM', () => {
  it('is nothing where they stand', () => {
    assert.equal(missingWalls(status(), 7), undefined);
  });

  for (const [field, value] of [
    ['Uid', '7\t0\t7\t7'],
    ['Gid', '7\t7\t0\t7'],
    ['CapEff', '0000000000080000'],
    ['CapBnd', '000001fffeffffff'],
    ['NoNewPrivs', '0'],
  ] as const) {
    it(`is ${field} where that is more than it should be`, () => {
      assert.equal(missingWalls(status({ [field]: value }), 7), `its ${field} is ${value}`);
    });
  }

  it('is what is not told', () => {
    assert.equal(missingWalls('', 7), 'its Uid is missing');
  });
});

describe('missingNetworkWall()', () => {
  const HEAD = `Inter-|   Receive                            |  Transmit
 face |bytes    packets errs|bytes    packets errs
`;

  it('finds nothing in a network that was just made', () => {
    assert.equal(
      missingNetworkWall(`${HEAD}    lo:       0       0    0        0       0    0\n`),
      undefined,
    );
  });

  it("names what is in one that is somebody's", () => {
    const used = `${HEAD}    lo:  420684    1034    0   420684    1034    0\n`;
    assert.equal(missingNetworkWall(used), 'its network has lo');
    assert.equal(
      missingNetworkWall(`${HEAD}  eth0:       0       0    0        0       0    0\n`),
      'its network has eth0',
    );
  });
});
