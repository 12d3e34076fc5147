/** A registry on the loopback for a test, and images put there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { ResourceStack } from '../../src/base/index.js';
import { startLocalRegistry } from '../../src/bench/local-registry.js';

export interface Registry {
  /** `127.0.0.1:<port>`. */
  readonly address: string;
  /** Copies an image of skopeo's there; returns its reference. */
  push(from: string, name: string, credentials?: string): Promise<string>;
  close(): Promise<void>;
}

/** `htpasswd`: a line of htpasswd(1), bcrypt. */
export async function startRegistry({ htpasswd }: { htpasswd?: string } = {}): Promise<Registry> {
  await using undo = new ResourceStack();
  const dir = await mkdtemp(join(tmpdir(), 'bough-registry-'));
  undo.defer(() => rm(dir, { recursive: true }));
  const address = await startLocalRegistry(dir, undo, new AbortController().signal, htpasswd);
  const resources = undo.move();
  return {
    address,
    async push(from, name, credentials) {
      const given = credentials === undefined ? [] : ['--dest-creds', credentials];
      await execa('skopeo', [
        ...['copy', '-q', '--dest-tls-verify=false', ...given],
        ...['--', from, `docker://${address}/${name}`],
      ]);
      return `${address}/${name}`;
    },
    close: () => resources.close(),
  };
}
