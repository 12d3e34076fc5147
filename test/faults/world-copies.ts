/** The world of store-world.ts, made once for a test file, and a copy of it for each test. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeWorld, type StoreDirs } from './store-world.js';

export class WorldCopies {
  /** Not to be changed. */
  readonly template: StoreDirs;
  #copies: StoreDirs[] = [];

  private constructor(template: StoreDirs) {
    this.template = template;
  }

  static async open(): Promise<WorldCopies> {
    const template = await freshDirs();
    await makeWorld(template);
    return new WorldCopies(template);
  }

  /** As a daemon that was just started finds it: nothing is hot. */
  async make(): Promise<StoreDirs> {
    const dirs = await freshDirs();
    this.#copies.push(dirs);
    await cp(this.template.stateDir, dirs.stateDir, { recursive: true });
    return dirs;
  }

  /** Removes the copies. */
  async clean(): Promise<void> {
    for (const dirs of this.#copies.splice(0)) await removeDirs(dirs);
  }

  async close(): Promise<void> {
    await this.clean();
    await removeDirs(this.template);
  }
}

async function freshDirs(): Promise<StoreDirs> {
  return {
    stateDir: await mkdtemp(join(tmpdir(), 'bough-world-')),
    hotDir: await mkdtemp('/dev/shm/bough-world-'),
  };
}

async function removeDirs({ stateDir, hotDir }: StoreDirs): Promise<void> {
  for (const folder of [stateDir, hotDir]) await rm(folder, { recursive: true, force: true });
}
