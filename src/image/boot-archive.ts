/**
 * What an image is booted with besides its kernel: the modules that came with the kernel, and our own programs as they are now, PID 1 and
 * the agent (native/agent). The kernel takes several archives one after the other.
 *
 * Our programs are no part of an image: they live in the initramfs, and an image needs nothing of ours to be booted. So an edit of the
 * agent makes no image out of date; it makes another archive, named after what is in it.
 *
 * Not handled: removing the archives of earlier agents; each is about a megabyte.
 */
import { createHash } from 'node:crypto';
import { access, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeFileAtomic } from '../base/index.js';
import { CPIO_CHARACTER_DEVICE, CPIO_DIRECTORY, CPIO_FILE, cpioArchive } from './cpio.js';
import { ImageUnusable } from './errors.js';
import type { ImageDefinition } from './definition.js';
import type { GuestDefaults } from './oci/config.js';
import { AGENT_PORT } from './image.js';

/** Made by `npm run build:native`. */
const PROGRAMS_DIR = fileURLToPath(new URL('../../../native/agent/build', import.meta.url));

const DIGEST_DIGITS_IN_NAME = 12;

/** How the agent runs programs in this image. */
export interface GuestSettings {
  readonly interpreter: ImageDefinition['interpreter'];
  /** What an image that was imported says itself. */
  readonly imported?: GuestDefaults | undefined;
}

/** Makes the archive unless it is there; returns its path. Throws ImageUnusable when our programs have not been built. */
export async function bootArchive(
  dir: string,
  modulesPath: string,
  settings: GuestSettings,
): Promise<string> {
  const own = await ownArchive(settings);
  const digest = createHash('sha256').update(own).digest('hex').slice(0, DIGEST_DIGITS_IN_NAME);
  const path = join(dir, 'boot', `${digest}.cpio`);
  try {
    await access(path);
  } catch {
    await mkdir(join(dir, 'boot'), { recursive: true });
    await writeFileAtomic(path, Buffer.concat([await readFile(modulesPath), own]), { mode: 0o644 });
  }
  return path;
}

/** /init, a console for it to speak on, the agent and what the agent is told. */
async function ownArchive({ interpreter, imported }: GuestSettings): Promise<Buffer> {
  const { user, env: environment, cwd } = imported ?? {};
  const [init, agent] = [await readProgram('init'), await readProgram('bough-agent')];
  const config = Buffer.from(JSON.stringify({ port: AGENT_PORT, interpreter, user, environment, cwd }));
  return cpioArchive([
    { path: 'dev', mode: CPIO_DIRECTORY | 0o755 },
    { path: 'dev/console', mode: CPIO_CHARACTER_DEVICE | 0o600, device: { major: 5, minor: 1 } },
    { path: 'init', mode: CPIO_FILE | 0o755, content: init },
    { path: 'agent', mode: CPIO_FILE | 0o755, content: agent },
    { path: 'agent.json', mode: CPIO_FILE | 0o644, content: config },
    ...(imported ? [{ path: 'imported', mode: CPIO_FILE | 0o644 }] : []),
  ]);
}

/** Throws ImageUnusable when our programs have not been built. */
export async function requirePrograms(): Promise<void> {
  for (const name of ['init', 'bough-agent']) await readProgram(name);
}

async function readProgram(name: string): Promise<Buffer> {
  try {
    return await readFile(join(PROGRAMS_DIR, name));
  } catch (cause) {
    throw new ImageUnusable(`Cannot boot an image without ${join(PROGRAMS_DIR, name)}: run npm run build`, {
      cause,
    });
  }
}
