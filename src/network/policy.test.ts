import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseAddress, type Address } from './address.js';
import { Policy, type Lookup } from './policy.js';
import { PolicyRefused } from './rule.js';
import { networkPolicySchema, type NetworkPolicyInput } from '../contract/index.js';

const NOBODY: ReadonlySet<string> = new Set();
const PRESETS = { python: [{ allow: 'index.example', ports: [443] }, { allow: '*.files.example' }] };

const compile = (wire: NetworkPolicyInput): Policy =>
  Policy.compile(networkPolicySchema.parse(wire), PRESETS);
const address = (text: string): Address => {
  const parsed = parseAddress(text);
  assert(parsed !== undefined, text);
  return parsed;
};
const refusal = (wire: NetworkPolicyInput): string => {
  try {
    compile(wire);
  } catch (error) {
    assert(error instanceof PolicyRefused);
    return `${error.path} ${error.problem}`;
  }
  return 'accepted';
};

const refusedBy = (lookup: Lookup): string | undefined =>
  typeof lookup === 'object' ? (lookup.rule ?? lookup.why) : undefined;

describe('Policy', () => {
  it('reaches nothing unless it is told otherwise', () => {
    for (const mode of ['off', 'none', 'list'] as const) {
      const policy = compile({ mode });
      assert.equal(policy.check('example.org', 443, NOBODY).verdict, 'refused', mode);
      assert.equal(policy.check('93.184.216.34', 443, NOBODY).verdict, 'refused', mode);
      assert.equal(refusedBy(policy.lookup('example.org')), `no rule allows it, and the mode is ${mode}`);
    }
    assert.equal(networkPolicySchema.parse({}).mode, 'off');
  });

  it('lets the first rule that matches decide, then the mode', () => {
    const policy = compile({
      mode: 'internet',
      rules: [
        { allow: 'good.ads.example' },
        { deny: '*.ads.example' },
        { deny: '93.184.216.0/24', ports: [80] },
      ],
    });
    const said = (host: string, port = 443): string => {
      const { verdict, rule } = policy.check(host, port, NOBODY);
      return `${verdict} ${rule ?? '-'}`;
    };
    assert.equal(said('good.ads.example'), 'allowed allow good.ads.example');
    assert.equal(said('bad.ads.example'), 'refused deny *.ads.example');
    assert.equal(said('a.good.ads.example'), 'refused deny *.ads.example');
    assert.equal(said('ads.example'), 'allowed -');
    assert.equal(said('93.184.216.34', 80), 'refused deny 93.184.216.0/24 on 80');
    assert.equal(said('93.184.216.34', 443), 'allowed -');
  });

  it('takes an allowed name to mean ports 80 and 443, and a denied one every port', () => {
    const policy = compile({ mode: 'list', rules: [{ allow: 'a.example' }, { deny: 'b.example' }] });
    const open = [22, 80, 443, 8080].filter((port) => policy.judgeName('a.example', port).allowed);
    assert.deepEqual(open, [80, 443]);
    const denied = compile({ mode: 'internet', rules: [{ deny: 'b.example' }] }).lookup('b.example');
    assert.equal(refusedBy(denied), 'deny b.example');
    assert.equal(policy.judgeName('b.example', 22).rule, 'deny b.example');
  });

  it('opens port 25 by a rule alone', () => {
    assert.equal(compile({ mode: 'internet' }).check('mx.example', 25, NOBODY).why, 'port 25 needs a rule');
    const policy = compile({ mode: 'internet', rules: [{ allow: 'mx.example', ports: [25] }] });
    assert.equal(policy.check('mx.example', 25, NOBODY).verdict, 'allowed');
  });

  it('reaches the loopback of the host by the rule "host" on its ports alone', () => {
    const policy = compile({ mode: 'internet', rules: [{ allow: 'host', ports: [11434] }] });
    for (const host of ['10.0.2.2', 'host.bough.internal', 'HOST.bough.internal.', '127.0.0.1', '0x7f.1']) {
      assert.equal(policy.check(host, 11434, NOBODY).verdict, 'allowed', host);
      assert.equal(policy.check(host, 11435, NOBODY).verdict, 'refused', host);
    }
    assert.equal(policy.check('127.0.0.2', 11434, NOBODY).verdict, 'refused');
    assert.equal(policy.lookup('host.bough.internal'), 'host');
    assert.equal(
      refusedBy(compile({ mode: 'internet' }).lookup('host.bough.internal')),
      'no rule allows the host',
    );
  });

  it('tells an address at once for a name that a rule spells, and looks all others up', () => {
    const rules = [{ allow: 'a.example' }, { allow: '*.b.example' }, { deny: 'c.example', ports: [80] }];
    const policy = compile({ mode: 'list', rules });
    assert.equal(policy.lookup('a.example'), 'known');
    assert.equal(policy.lookup('x.b.example'), 'resolve');
    assert.equal(refusedBy(policy.lookup('b.example')), 'no rule allows it, and the mode is list');
    assert.equal(compile({ mode: 'internet', rules }).lookup('c.example'), 'resolve');
  });

  it('appends the rules of presets, and refuses one that the host has none for', () => {
    const rules = [{ deny: 'old.files.example' }];
    const policy = compile({ mode: 'list', rules, presets: ['python'] });
    assert.equal(policy.check('index.example', 443, NOBODY).rule, 'allow index.example on 443');
    assert.equal(policy.check('new.files.example', 80, NOBODY).verdict, 'allowed');
    assert.equal(policy.check('old.files.example', 80, NOBODY).verdict, 'refused');
    const problem = refusal({ mode: 'list', presets: ['python', 'node'] });
    assert.equal(problem, 'presets[1] is not configured on this host: "node" has no rules');
  });
});

describe('what a name resolves to', () => {
  it('is reached if it is public, and if not only by a rule that names the block', () => {
    const name = { allow: 'db.example', ports: [5432] };
    const bare = compile({ mode: 'list', rules: [name] });
    assert.equal(bare.judgeResolved(address('93.184.216.34'), 5432, NOBODY).allowed, true);
    assert.equal(bare.judgeResolved(address('10.1.2.3'), 5432, NOBODY).allowed, false);
    assert.equal(bare.judgeResolved(address('::ffff:10.1.2.3'), 5432, NOBODY).allowed, false);
    const named = compile({ mode: 'list', rules: [name, { allow: '10.1.0.0/16', ports: [5432] }] });
    assert.equal(named.judgeResolved(address('10.1.2.3'), 5432, NOBODY).allowed, true);
    assert.equal(named.judgeResolved(address('10.2.2.3'), 5432, NOBODY).allowed, false);
    assert.equal(named.judgeResolved(address('10.1.2.3'), 22, NOBODY).allowed, false);
  });

  it('is dropped where a rule denies it', () => {
    const policy = compile({ mode: 'internet', rules: [{ deny: '93.184.0.0/16' }] });
    assert.equal(policy.judgeResolved(address('93.184.216.34'), 443, NOBODY).rule, 'deny 93.184.0.0/16');
    assert.equal(policy.judgeResolved(address('93.185.216.34'), 443, NOBODY).allowed, true);
  });
});

describe('an address of the host itself', () => {
  const own = new Set(['198.41.0.4', '10.1.2.3']);

  it('is reached only by a rule for it alone', () => {
    const wide = compile({
      mode: 'internet',
      rules: [{ allow: '10.0.0.0/8' }, { allow: '198.41.0.0/24' }],
    });
    const said = (policy: Policy, text: string): boolean =>
      policy.judgeAddress(address(text), 443, own).allowed;
    assert.equal(said(wide, '198.41.0.4'), false);
    assert.equal(said(wide, '198.41.0.5'), true);
    assert.equal(said(wide, '10.1.2.3'), false);
    assert.equal(said(wide, '10.1.2.4'), true);
    assert.equal(wide.judgeResolved(address('198.41.0.4'), 443, own).allowed, false);
    assert.equal(said(compile({ mode: 'list', rules: [{ allow: '10.1.2.3' }] }), '10.1.2.3'), true);
  });
});

describe('policies that cannot be', () => {
  const refused: readonly [rule: object, problem: string][] = [
    [{ allow: '*' }, 'rules[0].allow would be every name: use the mode "internet"'],
    [{ allow: 'host' }, 'rules[0].allow needs "ports": everything on the loopback of the host would be open'],
    [{ allow: 'host.bough.internal' }, 'rules[0].allow is the host: write "host"'],
    [{ allow: '10.1.2.3/8' }, 'rules[0].allow has bits outside its prefix: write 10.0.0.0/8'],
    [{ allow: '10.0.0.0/33' }, 'rules[0].allow has no valid prefix length'],
    [{ allow: '10.0.0.0/08' }, 'rules[0].allow has no valid prefix length'],
    [{ deny: '::ffff:10.0.0.0/104' }, 'rules[0].deny is IPv4 written as IPv6: write 10.0.0.0 and its prefix'],
    ...['010.0.0.1', '0x7f.1', '2130706433', '127.1', '*.1.2.3.4', 'a..example', 'a b', '10.0.0.0/8/8'].map(
      (allow): [object, string] => [
        { allow },
        'rules[0].allow is neither a name nor a block of addresses such as 10.0.0.0/8',
      ],
    ),
  ];
  for (const [rule, problem] of refused) {
    it(`${JSON.stringify(rule)} ${problem.slice('rules[0].'.length)}`, () => {
      assert.equal(refusal({ mode: 'list', rules: [rule as { allow: string }] }), problem);
    });
  }

  it('has a rule that can never match', () => {
    const shadowed = (...rules: { allow: string; ports?: number[] }[]): string =>
      refusal({ mode: 'list', rules });
    const never = 'rules[1] can never match: rules[0] comes first';
    assert.equal(shadowed({ allow: '*.a.example' }, { allow: 'x.a.example' }), never);
    assert.equal(shadowed({ allow: '*.a.example' }, { allow: '*.x.a.example' }), never);
    assert.equal(shadowed({ allow: '10.0.0.0/8' }, { allow: '10.1.0.0/16', ports: [22] }), never);
    assert.equal(shadowed({ allow: '*.a.example' }, { allow: 'a.example' }), 'accepted');
    assert.equal(shadowed({ allow: '10.0.0.0/8', ports: [22] }, { allow: '10.1.0.0/16' }), 'accepted');
    assert.equal(shadowed({ allow: 'a.example' }, { allow: 'a.example', ports: [8443] }), 'accepted');
  });

  it('has rules in a mode that reaches nothing', () => {
    assert.equal(refusal({ rules: [{ allow: 'a.example' }] }), 'rules have no effect in the mode "off"');
    assert.equal(refusal({ mode: 'none', presets: ['python'] }), 'presets have no effect in the mode "none"');
  });

  it('has fields that nobody knows', () => {
    for (const wire of [
      { mode: 'list', rule: [] },
      { mode: 'list', rules: [{ allow: 'a.example', port: 80 }] },
      { mode: 'list', rules: [{ allow: 'a.example', deny: 'b.example' }] },
      { mode: 'list', rules: [{ allow: 'a.example', ports: [0] }] },
      { mode: 'list', rules: [{ allow: 'a.example', ports: [] }] },
      { mode: 'open' },
      { mode: 'list', max_connections: 0 },
    ]) {
      assert.equal(networkPolicySchema.safeParse(wire).success, false, JSON.stringify(wire));
    }
  });
});
