/** Debian's docker-registry on the loopback, with a folder of its own, and with a password where one is given. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { sleep } from '../../src/base/index.js';
import { freePort } from './free-port.js';

export interface Registry {
  /** `127.0.0.1:<port>`. */
  readonly address: string;
  /** Copies an image of skopeo's there; returns its reference. */
  push(from: string, name: string, credentials?: string): Promise<string>;
  close(): Promise<void>;
}

const POLL_MS = 50;
const START_DEADLINE_MS = 20_000;

/** `htpasswd`: a line of htpasswd(1), bcrypt. */
export async function startRegistry({ htpasswd }: { htpasswd?: string } = {}): Promise<Registry> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-registry-'));
  const address = `127.0.0.1:${await freePort()}`;
  await writeFile(join(dir, 'htpasswd'), `${htpasswd ?? ''}\n`);
  const auth =
    htpasswd === undefined ? '' : `auth: {htpasswd: {realm: bough, path: ${join(dir, 'htpasswd')}}}\n`;
  const config = `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${dir}/data}}\nhttp: {addr: '${address}'}\n${auth}`;
  await writeFile(join(dir, 'config.yml'), config);
  const registry = execa('docker-registry', ['serve', join(dir, 'config.yml')], {
    reject: false,
    stdio: 'ignore',
  });
  await answers(`http://${address}/v2/`);
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
    async close() {
      registry.kill('SIGKILL');
      await registry;
      await rm(dir, { recursive: true });
    },
  };
}

async function answers(url: string): Promise<void> {
  const giveUpMs = performance.now() + START_DEADLINE_MS;
  while (!(await fetch(url).catch(() => undefined))) {
    if (performance.now() > giveUpMs) throw new Error(`No registry at ${url}`);
    await sleep(POLL_MS);
  }
}
