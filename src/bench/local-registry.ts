/** Debian's docker-registry on the loopback, with a folder of its own, and with a password where one is given. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { ResourceStack } from '../base/index.js';
import { poll } from './context.js';
import { freePort } from './free-port.js';

const POLL_MS = 50;
const START_DEADLINE_MS = 20_000;

/** Starts one that ends with the stack; returns `127.0.0.1:<port>`. `dir` is its own; `htpasswd`: a line of htpasswd(1), bcrypt. */
export async function startLocalRegistry(
  dir: string,
  resources: ResourceStack,
  signal: AbortSignal,
  htpasswd?: string,
): Promise<string> {
  await mkdir(dir, { recursive: true });
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
  resources.defer(async () => {
    registry.kill('SIGKILL');
    await registry;
  });
  const missing = registry.then(() => {
    throw new Error('docker-registry does not run here: apt-get install docker-registry');
  });
  const answers = poll(POLL_MS, START_DEADLINE_MS, signal, () =>
    fetch(`http://${address}/v2/`).then(
      () => true,
      () => undefined,
    ),
  );
  missing.catch(() => undefined);
  await Promise.race([answers, missing]);
  return address;
}
