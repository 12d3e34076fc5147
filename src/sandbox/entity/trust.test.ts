import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AgentRefused, type AgentClient } from '../../agent/index.js';
import { networkPolicySchema } from '../../contract/index.js';
import { trustEgress, trustVariables } from './trust.js';

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n';
const BUNDLE = '/etc/ssl/certs/ca-certificates.crt';

/** A guest that has these files. */
function guestOf(files: Record<string, string>): AgentClient {
  const read = ({ path }: { path: Uint8Array }) => {
    const text = files[String(path)];
    if (text === undefined) return Promise.reject(new AgentRefused('read', 'file_not_found', 'absent'));
    const bytes = (async function* () {
      yield await Promise.resolve(Buffer.from(text));
    })();
    return Promise.resolve({ bytes, close: () => Promise.resolve() });
  };
  const write = ({ path, bytes }: { path: Uint8Array; bytes: string }) => {
    files[String(path)] = bytes;
    return Promise.resolve();
  };
  return { files: { read, write } } as unknown as AgentClient;
}

describe('the trust of a guest in the egress', () => {
  it('is a certificate in its bundle, once', async () => {
    for (const before of ['theirs\n', 'theirs']) {
      const files: Record<string, string> = { [BUNDLE]: before };
      await trustEgress(guestOf(files), CERTIFICATE);
      await trustEgress(guestOf(files), CERTIFICATE);
      assert.deepEqual(files, { [BUNDLE]: `theirs\n${CERTIFICATE}` });
    }
  });

  it('has the bundle of another distribution in it, or nothing besides', async () => {
    const fedora: Record<string, string> = { '/etc/pki/tls/certs/ca-bundle.crt': 'theirs\n' };
    await trustEgress(guestOf(fedora), CERTIFICATE);
    assert.equal(fedora[BUNDLE], `theirs\n${CERTIFICATE}`);
    const bare: Record<string, string> = {};
    await trustEgress(guestOf(bare), CERTIFICATE);
    assert.deepEqual(bare, { [BUNDLE]: CERTIFICATE });
  });

  it('is not made when its agent fails', async () => {
    const failing = { files: { read: () => Promise.reject(new Error('gone')) } } as unknown as AgentClient;
    await assert.rejects(trustEgress(failing, CERTIFICATE), /gone/);
  });

  it('is in the variables of programs where a policy names a secret, and in no others', () => {
    const named = networkPolicySchema.parse({ mode: 'internet', secrets: ['key'] });
    assert.equal(trustVariables(named)['NODE_EXTRA_CA_CERTS'], BUNDLE);
    for (const policy of [undefined, networkPolicySchema.parse({ mode: 'internet' })])
      assert.deepEqual(trustVariables(policy), {});
  });
});
