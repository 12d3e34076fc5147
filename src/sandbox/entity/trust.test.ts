import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AgentRefused, type AgentClient } from '../../agent/index.js';
import { networkPolicySchema } from '../../contract/index.js';
import { tellToTrust, trustEgress, trustVariables } from './trust.js';

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n';
const BUNDLE = '/etc/ssl/certs/ca-certificates.crt';
const ENDLESS = 'endless\n';

/** A guest that has these files. */
function guestOf(files: Record<string, string>): AgentClient {
  const read = ({ path }: { path: Uint8Array }) => {
    const text = files[String(path)];
    if (text === undefined) return Promise.reject(new AgentRefused('read', 'no_file', 'absent'));
    const bytes = (async function* () {
      do yield await Promise.resolve(Buffer.from(text, 'latin1'));
      while (text === ENDLESS);
    })();
    return Promise.resolve({ bytes, close: () => Promise.resolve() });
  };
  const write = ({ path, bytes }: { path: Uint8Array; bytes: Buffer }) => {
    files[String(path)] = bytes.toString('latin1');
    return Promise.resolve();
  };
  return { files: { read, write } } as unknown as AgentClient;
}

describe('the trust of a guest in the egress', () => {
  it('is a certificate in its bundle, once', async () => {
    for (const before of ['th\xe9irs\n', 'th\xe9irs']) {
      const files: Record<string, string> = { [BUNDLE]: before };
      await trustEgress(guestOf(files), CERTIFICATE);
      await trustEgress(guestOf(files), CERTIFICATE);
      assert.deepEqual(files, { [BUNDLE]: `th\xe9irs\n${CERTIFICATE}` });
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

  it('is not made when its agent fails, or of a bundle that cannot be read, or all of it', async () => {
    for (const error of [new Error('gone'), new AgentRefused('read', 'file_failed', 'gone')]) {
      const failing = { files: { read: () => Promise.reject(error) } } as unknown as AgentClient;
      await assert.rejects(trustEgress(failing, CERTIFICATE), /gone/);
    }
    for (const before of ['x'.repeat(5 << 20), ENDLESS]) {
      const files: Record<string, string> = { [BUNDLE]: before };
      await assert.rejects(trustEgress(guestOf(files), CERTIFICATE), /more than 4194304 bytes/);
      assert.equal(files[BUNDLE], before);
    }
  });

  it('is told to what runs as far as its agent knows how', async () => {
    const answering = (setEnv: () => Promise<void>): AgentClient => ({ setEnv }) as unknown as AgentClient;
    const refusing = (code: string): AgentClient =>
      answering(() => Promise.reject(new AgentRefused('set_env', code, 'no')));
    await tellToTrust(answering(() => Promise.resolve()));
    await tellToTrust(refusing('unknown_op'));
    await assert.rejects(tellToTrust(refusing('out_of_memory')), { name: 'AgentRefused' });
  });

  it('is in the variables of programs where a policy names a secret, and in no others', () => {
    const named = networkPolicySchema.parse({ mode: 'internet', secrets: ['key'] });
    assert.equal(trustVariables(named)['NODE_EXTRA_CA_CERTS'], BUNDLE);
    for (const policy of [undefined, networkPolicySchema.parse({ mode: 'internet' })])
      assert.deepEqual(trustVariables(policy), {});
  });
});
