/** Literals that mean an address nobody allowed, in every form a guest may try, and seeded random ones. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import ipaddr from 'ipaddr.js';
import { contains, kindOf, kindOfAll, parseAddress, parseCidr, type Address } from './address.js';
import { matchesName, parseHost, parseName, parsePattern } from './name.js';
import { Policy } from './policy.js';
import { networkPolicySchema } from '../contract/index.js';

const NOBODY: ReadonlySet<string> = new Set();
const open = Policy.compile(
  networkPolicySchema.parse({ mode: 'internet', rules: [{ allow: '0.0.0.0/0' }, { allow: '::/0' }] }),
  {},
);

const GUARDED: Readonly<Record<string, readonly string[]>> = {
  loopback: [
    ...[
      '127.0.0.1',
      '127.1',
      '127.0.1',
      '2130706433',
      '0x7f000001',
      '0177.0.0.1',
      '0x7f.0.0.1',
      '017700000001',
    ],
    ...[
      '::1',
      '[::1]',
      '0:0:0:0:0:0:0:1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '[::ffff:7f00:1]',
      '127.0.0.1.',
    ],
    ...['１２７.0.0.1', '127。0。0。1', '::127.0.0.1', '127.255.255.254'],
  ],
  linkLocal: [
    '169.254.169.254',
    '0xa9fea9fe',
    '2852039166',
    '0251.0376.0251.0376',
    '::ffff:169.254.169.254',
    'fe80::1%eth0',
  ],
  private: ['10.0.0.1', '012.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '::ffff:c0a8:101'],
  carrierGradeNat: ['100.64.0.1', '100.127.255.255'],
  benchmarking: ['198.18.0.1', '198.19.255.255'],
  unspecified: ['0.0.0.0', '0', '::'],
  broadcast: ['255.255.255.255', '4294967295'],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1'],
  uniqueLocal: ['fc00::1', 'fd00:ec2::254'],
  reserved: [
    ...['240.0.0.1', '192.0.2.1', '198.51.100.1', '203.0.113.1', '192.0.0.1'],
    ...['::7f00:1', '4000::1', '2001:db8::1', '2001:1::1', '2001:2::1'],
  ],
  documentation: ['3fff::1'],
  deprecatedSiteLocal: ['fec0::1'],
  rfc6052: ['64:ff9b::7f00:1', '64:ff9b:1::7f00:1', '64:ff9b::169.254.169.254'],
  rfc6145: ['::ffff:0:127.0.0.1'],
  '6to4': ['2002:7f00:1::1', '2002:a9fe:a9fe::1'],
};

const NEITHER = [
  ...['', '.', '..', 'a..b', '-a.example', 'a-.example', 'a b.example', 'a/b', 'a@b', 'a:80', '127.0.0.1:80'],
  ...['256.0.0.1', '127.0.0.0.1', '1.2.3.4.5', '0x', '09.0.0.1', '4294967296', 'example.0x7f', 'a.example.1'],
  ...[
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(127)}abc`,
    'a\0.example',
    'a\n.example',
    '*.example',
    '[example.org]',
  ],
  ...['a%00.example', '%31%32%37.0.0.1', 'exa mple.org', '127.0.0.1\n'],
];

describe('hostile literals', () => {
  for (const [kind, literals] of Object.entries(GUARDED)) {
    it(`are of the kind ${kind}, and refused though every address is allowed: ${literals.join(' ')}`, () => {
      for (const literal of literals) {
        const host = parseHost(literal);
        assert(host !== undefined && 'address' in host, `${literal} is an address`);
        assert.equal(kindOf(host.address), kind, literal);
        assert.equal(open.check(literal, 443, NOBODY).verdict, 'refused', literal);
      }
    });
  }

  it('that are neither a name nor an address are refused', () => {
    for (const text of NEITHER) {
      assert.equal(parseHost(text), undefined, JSON.stringify(text));
      assert.equal(open.check(text, 443, NOBODY).verdict, 'refused');
    }
  });

  it('have one form as names, whatever their case, dot and alphabet', () => {
    for (const text of ['EXAMPLE.org', 'example.org.', 'ＥＸＡＭＰＬＥ.org', 'exam\u00adple.org']) {
      assert.deepEqual(parseHost(text), { name: 'example.org' }, text);
    }
    assert.deepEqual(parseHost('bücher.example'), { name: 'xn--bcher-kva.example' });
    assert.deepEqual(parseHost('_dmarc.example'), { name: '_dmarc.example' });
  });

  it('leave what is public alone', () => {
    for (const text of [
      '93.184.216.34',
      '8.8.8.8',
      '28.0.0.1',
      '172.32.0.1',
      '2606:2800:220:1::1',
      '::ffff:8.8.8.8',
    ]) {
      assert.equal(open.check(text, 443, NOBODY).verdict, 'allowed', text);
    }
  });
});

const SEEDS = 200;

/** splitmix32: every run is a function of its seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

const ADDRESSES = Object.values(GUARDED)
  .flat()
  .flatMap((text) => parseAddress(text) ?? []);

/** Near an interesting address half of the time: its ranges have edges, and chance alone does not find them. */
function randomAddress(random: () => number): Address {
  const near = ADDRESSES[random() % ADDRESSES.length];
  const length = random() % 2 === 0 ? 4 : 16;
  if (near === undefined || random() % 2 === 0) {
    return ipaddr.fromByteArray(Array.from({ length }, () => random() & 0xff));
  }
  const bytes = near.toByteArray();
  const at = random() % bytes.length;
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (random() % 8));
  return ipaddr.fromByteArray(bytes);
}

describe('properties', () => {
  it('every way to write an address means the same address and the same verdict', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = randomOf(seed);
      const bytes = Array.from({ length: 4 }, () => random() & 0xff);
      const number = bytes.reduce((all, byte) => all * 256 + byte, 0);
      const canonical = bytes.join('.');
      const hex = number.toString(16).padStart(8, '0');
      const forms = [
        String(number),
        `0x${hex}`,
        bytes.map((byte) => `0${byte.toString(8)}`).join('.'),
        bytes.map((byte) => `0x${byte.toString(16)}`).join('.'),
        `::ffff:${canonical}`,
        `[::ffff:${hex.slice(0, 4)}:${hex.slice(4)}]`,
        `${canonical}.`,
      ];
      for (const form of forms) {
        const host = parseHost(form);
        assert(host !== undefined && 'address' in host, `seed ${seed}: ${form}`);
        assert.equal(host.address.toString(), canonical, `seed ${seed}: ${form}`);
        assert.deepEqual(open.check(form, 443, NOBODY), open.check(canonical, 443, NOBODY));
      }
    }
  });

  it('a block of one kind at its ends is of that kind throughout', () => {
    let checked = 0;
    for (let seed = 1; seed <= 20 * SEEDS; seed++) {
      const random = randomOf(seed);
      const first = randomAddress(random);
      const bits = first.kind() === 'ipv4' ? 32 : 128;
      const prefixBits = random() % (bits + 1);
      const start = maskedTo(first, prefixBits, () => 0);
      const kind = kindOfAll({ first: start, prefixBits });
      if (kind === undefined || kind === 'public') continue;
      for (let i = 0; i < 20; i++) {
        const inside = maskedTo(start, prefixBits, random);
        // IPv4 written as IPv6 is IPv4 by the time it is judged, and no rule can hold it.
        if (inside instanceof ipaddr.IPv6 && inside.isIPv4MappedAddress()) continue;
        checked++;
        assert(contains({ first: start, prefixBits }, inside));
        assert.notEqual(kindOf(inside), 'public', `seed ${seed}: ${inside.toString()} in /${prefixBits}`);
      }
    }
    assert(checked > 1000, `${checked} checked`);
  });

  it('no rule for a block that holds a public address opens one that is guarded', () => {
    let checked = 0;
    for (let seed = 1; seed <= 20 * SEEDS; seed++) {
      const random = randomOf(seed);
      const target = randomAddress(random);
      const address = ipaddr.process(target.toString());
      if (kindOf(address) === 'public') continue;
      const bits = address.kind() === 'ipv4' ? 32 : 128;
      const prefixBits = random() % bits;
      const start = maskedTo(address, prefixBits, () => 0);
      const cidr = parseCidr(`${start.toString()}/${prefixBits}`);
      if ('problem' in cidr || kindOfAll(cidr) === kindOf(address)) continue;
      checked++;
      const rules = [{ allow: `${start.toString()}/${prefixBits}` }];
      const policy = Policy.compile(networkPolicySchema.parse({ mode: 'internet', rules }), {});
      assert.equal(policy.judgeAddress(address, 443, NOBODY).allowed, false, `seed ${seed}`);
      assert.equal(policy.judgeResolved(address, 443, NOBODY).allowed, false, `seed ${seed}`);
    }
    assert(checked > 500, `${checked} checked`);
  });

  it('a wildcard matches what is below its name and nothing else', () => {
    const pattern = parsePattern('*.example.org');
    assert(pattern !== undefined);
    for (const name of ['a.example.org', 'a.b.example.org', 'xn--a.example.org'])
      assert(matchesName(pattern, name));
    for (const name of ['example.org', 'aexample.org', 'example.org.evil', 'a.example.orgx']) {
      assert(!matchesName(pattern, name), name);
    }
  });

  it('a name is its own one form', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = randomOf(seed);
      const characters = 'aZ09-_.xé*';
      const text = Array.from({ length: 1 + (random() % 12) }, () => characters[random() % 10]).join('');
      const name = parseName(text);
      if (name === undefined) continue;
      assert.equal(parseName(name), name, `seed ${seed}`);
      assert.equal(parseAddress(name), undefined, `seed ${seed}`);
      assert.match(name, /^[a-z0-9_.-]+$/);
    }
  });
});

/** `address` with random bits behind its prefix. */
function maskedTo(address: Address, prefixBits: number, random: () => number): Address {
  const bytes = address.toByteArray().map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefixBits - 8 * index));
    const mask = (0xff << (8 - bits)) & 0xff;
    return (byte & mask) | (random() & ~mask & 0xff);
  });
  return ipaddr.fromByteArray(bytes);
}
