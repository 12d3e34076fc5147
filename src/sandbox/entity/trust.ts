/**
 * A guest's trust in the egress, which opens its connections to hosts that secrets are for: the certificate in the bundle of the guest's
 * system, and variables for programs that bring a bundle of their own.
 *
 * The bundle is appended to, once. Where a guest has none, it is made of this one certificate; one that cannot be read is left as it is.
 *
 * Not handled: programs that run already and have read a bundle or their variables, a Node.js interpreter in which code has run among
 * them; and those with trust of their own that no variable changes (Java).
 */
import { AgentRefused, type AgentClient } from '../../agent/index.js';
import type { NetworkPolicy } from '../../contract/index.js';

/** Where distributions keep it; the first is also where one is made. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
] as const;
/** Debian's has 220 KiB. */
const MAX_BUNDLE_BYTES = 4 << 20;
/** What the agent says of a file that is not there. */
const ABSENT = new Set(['no_file', 'not_a_folder']);
const BUNDLE_MODE = 0o644;
/** Each is read by some programs in place of the bundle that they bring. */
const BUNDLE_VARIABLES = [
  ...['SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'GIT_SSL_CAINFO', 'PIP_CERT'],
  ...['AWS_CA_BUNDLE', 'CARGO_HTTP_CAINFO', 'NODE_EXTRA_CA_CERTS'],
];
const SYSTEM_VARIABLES = { UV_NATIVE_TLS: '1', DENO_TLS_CA_STORE: 'system' };

export const TRUST_VARIABLES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(BUNDLE_VARIABLES.map((name) => [name, BUNDLES[0]])),
  ...SYSTEM_VARIABLES,
};

/** Variables of programs in a sandbox of that policy. */
export function trustVariables(policy: NetworkPolicy | undefined): Readonly<Record<string, string>> {
  return policy?.secrets === undefined ? {} : TRUST_VARIABLES;
}

/** Those variables for what a guest that runs starts from now on, and for its interpreter. Throws what the agent's errors are. */
export async function tellToTrust(agent: AgentClient, signal?: AbortSignal): Promise<void> {
  try {
    await agent.setEnv(TRUST_VARIABLES, { signal });
  } catch (error) {
    // An agent of before: programs have them with the call that starts them.
    if (!(error instanceof AgentRefused && error.code === 'unknown_op')) throw error;
  }
}

/** Throws what the agent's errors are, AgentRefused for a bundle that is too large. */
export async function trustEgress(
  agent: AgentClient,
  certificate: string,
  signal?: AbortSignal,
): Promise<void> {
  const known = await readFirst(agent, BUNDLES, signal);
  const [bundle] = BUNDLES;
  if (known?.path === bundle && known.text.includes(certificate)) return;
  const before = known === undefined || known.text.endsWith('\n') ? (known?.text ?? '') : `${known.text}\n`;
  const text = before.includes(certificate) ? before : `${before}${certificate}`;
  const what = { path: Buffer.from(bundle), bytes: Buffer.from(text, 'latin1') };
  await agent.files.write({ ...what, mode: BUNDLE_MODE, parents: true }, signal);
}

async function readFirst(
  agent: AgentClient,
  paths: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ path: string; text: string } | undefined> {
  for (const path of paths) {
    try {
      return { path, text: await readText(agent, path, signal) };
    } catch (error) {
      if (!(error instanceof AgentRefused && ABSENT.has(error.code))) throw error;
    }
  }
  return undefined;
}

async function readText(agent: AgentClient, path: string, signal: AbortSignal | undefined): Promise<string> {
  const which = { path: Buffer.from(path), length: MAX_BUNDLE_BYTES + 1 };
  const reading = await agent.files.read(which, signal);
  const chunks: Buffer[] = [];
  let left = MAX_BUNDLE_BYTES;
  try {
    for await (const chunk of reading.bytes) {
      // Whatever the guest says of its size: some files go on for ever.
      left -= chunk.length;
      if (left < 0)
        throw new AgentRefused('read', 'bundle', `${path} has more than ${MAX_BUNDLE_BYTES} bytes`);
      chunks.push(chunk);
    }
  } finally {
    await reading.close();
  }
  return Buffer.concat(chunks).toString('latin1');
}
