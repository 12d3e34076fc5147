import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { owned, recorded } from '../../../test/support/recorded-sandbox.js';
import { networkPolicySchema } from '../../contract/index.js';
import type { HostContext } from './context.js';
import { setNetwork } from './network.js';

it('setNetwork() is refused by a rollback that began meanwhile, which goes on with the policy there was', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'bough-network-'));
  t.after(() => rm(dir, { recursive: true }));
  const network = networkPolicySchema.parse({ mode: 'internet' });
  const sandbox = await owned(await recorded(dir, { network }));
  const files = {
    read: () => Promise.resolve({ bytes: [Buffer.from('ours')], close: () => Promise.resolve() }),
    write: () => Promise.resolve(),
  };
  const setEnv = (): Promise<void> => Promise.resolve(void sandbox.claimForRollback());
  Object.assign(sandbox.agent, { files, setEnv });
  const replaced: unknown[] = [];
  const networks = {
    checked: () => undefined,
    certificate: () => Promise.resolve('theirs'),
    replace: (_paths: unknown, policy: unknown) => Promise.resolve(void replaced.push(policy)),
  } as unknown as HostContext['networks'];
  const narrow = networkPolicySchema.parse({ mode: 'list', secrets: ['key'] });
  await assert.rejects(setNetwork({ networks }, sandbox, narrow), { code: 'rollback_in_progress' });
  assert.deepEqual([sandbox.record.network, replaced], [network, []]);
});
