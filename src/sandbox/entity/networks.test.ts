import assert from 'node:assert/strict';
import { it } from 'node:test';
import { networkPolicySchema } from '../../contract/index.js';
import { Networks } from './networks.js';
import { Secrets } from './secrets.js';

it('checked() takes what was said, and without a word what the daemon has for such', async () => {
  const tiers = { stateDir: '/nowhere', hotDir: '/nowhere' };
  const made = (isOffByDefault?: boolean) =>
    new Networks({
      tiers,
      gateLibrary: '',
      presets: {},
      secrets: new Secrets('/nowhere'),
      emit: () => undefined,
      ...(isOffByDefault && { isOffByDefault }),
    });
  const none = networkPolicySchema.parse({ mode: 'none' });
  const secret = networkPolicySchema.parse({ mode: 'internet', secrets: ['absent'] });
  const list = networkPolicySchema.parse({ mode: 'list', rules: [{ allow: 'a.example' }] });
  for (const [networks, unsaid] of [
    [made(), undefined],
    [made(true), 'off'],
  ] as const) {
    assert.equal(networks.checked(undefined)?.mode, unsaid);
    assert.equal(networks.checked(none), undefined);
    assert.equal(networks.checked(list), list);
    assert.throws(() => networks.checked(secret), { code: 'secret_not_found' });
    await networks.close();
  }
});
