/**
 * A daemon of a test file's own, a process as users run it, with the warm template in its store; it can be
 * stopped, killed and started again over the same folders.
 */
import assert from 'node:assert/strict';
import { sleep } from '../../src/base/index.js';
import { startOwnDaemon, type OwnDaemon } from '../../src/cli/own-daemon.js';
import type { BranchRequestInput, Snapshot } from '../../src/contract/index.js';
import type { Bough } from '../../src/sdk/index.js';
import { Guest } from './guest.js';
import { difference, inventory } from './leftovers.js';
import { foldersWithTemplate, type OwnFolders } from './template-copy.js';
import { TEMPLATE_TAG } from './test-host.js';

const POLL_MS = 20;
const DEADLINE_MS = 60_000;

export class DaemonLab {
  readonly folders: OwnFolders;
  #daemon: OwnDaemon;
  #before: string[] = [];

  private constructor(folders: OwnFolders, daemon: OwnDaemon) {
    this.folders = folders;
    this.#daemon = daemon;
  }

  static async open(name: string): Promise<DaemonLab> {
    const folders = await foldersWithTemplate(name);
    try {
      const lab = new DaemonLab(folders, await start(folders));
      lab.#before = await inventory(folders);
      return lab;
    } catch (error) {
      await folders.remove();
      throw error;
    }
  }

  get client(): Bough {
    return this.#daemon.client;
  }

  /** The daemon's process. */
  get pid(): number {
    return this.#daemon.pid;
  }

  get url(): string {
    return this.#daemon.url;
  }

  /** SIGTERM, and waits for the end. */
  stop(): Promise<void> {
    return this.#daemon.stop();
  }

  /** SIGKILL, and waits for the end. */
  async kill(): Promise<void> {
    process.kill(this.#daemon.pid, 'SIGKILL');
    await this.#daemon.stop();
  }

  /** Starts the next daemon; the one before must have ended. */
  async start(): Promise<void> {
    this.#daemon = await start(this.folders);
  }

  async spawn(tag = TEMPLATE_TAG): Promise<Guest> {
    const [sandbox] = await this.client.sandboxes.spawn({ snapshot_tag: tag });
    assert(sandbox);
    return this.guest(sandbox.id);
  }

  /** A sandbox through the daemon of now; one made before a restart still talks to the daemon before. */
  guest(id: string): Guest {
    return Guest.ofDaemon(this.client, id);
  }

  async branch(guest: Guest, request: BranchRequestInput = {}): Promise<string> {
    return (await this.client.sandboxes.branch(guest.id, request)).tag;
  }

  /** Waits until a snapshot is listed with that status. */
  async listed(tag: string, status: Snapshot['status']): Promise<void> {
    const giveUpMs = performance.now() + DEADLINE_MS;
    while (performance.now() < giveUpMs) {
      const snapshots = await this.client.snapshots.list();
      if (snapshots.some((snapshot) => snapshot.tag === tag && snapshot.status === status)) return;
      await sleep(POLL_MS / 4);
    }
    assert.fail(`snapshot "${tag}" does not become ${status}`);
  }

  /** Waits until every snapshot that is listed is durable, or has failed. */
  async allDurable(): Promise<void> {
    const giveUpMs = performance.now() + DEADLINE_MS;
    while (performance.now() < giveUpMs) {
      const snapshots = await this.client.snapshots.list();
      if (snapshots.every(({ durable, status }) => durable === true || status === 'failed')) return;
      await sleep(POLL_MS);
    }
    assert.fail('a snapshot does not become durable');
  }

  /** Files and folders that belong to no sandbox and no snapshot of the daemon. */
  async leftovers(): Promise<string[]> {
    await this.allDurable();
    const sandboxes = (await this.client.sandboxes.list()).map(({ id }) => `sandboxes/${id}`);
    const tags = (await this.client.snapshots.list()).map(({ tag }) => `snapshots/${tag}`);
    const shown = [...sandboxes, ...tags];
    const belongs = (line: string): boolean =>
      line.startsWith('process ') || shown.some((name) => line.endsWith(name) || line.includes(`${name}/`));
    return (await inventory(this.folders)).filter((line) => !this.#before.includes(line) && !belongs(line));
  }

  /** Removes through the daemon what a test made, and checks that nothing else is left. */
  async clean(): Promise<void> {
    for (const { id } of await this.client.sandboxes.list()) await this.client.sandboxes.delete(id);
    for (const { tag } of await this.client.snapshots.list()) {
      if (tag !== TEMPLATE_TAG) await this.client.snapshots.delete(tag, { force: true });
    }
    assert.deepEqual(difference(this.#before, await inventory(this.folders)), []);
  }

  async close(): Promise<void> {
    try {
      await this.clean();
    } finally {
      await this.stop();
      await this.folders.remove();
    }
  }
}

function start({ stateDir, hotDir, cacheDir }: OwnFolders): Promise<OwnDaemon> {
  const folders = ['--state-dir', stateDir, '--hot-dir', hotDir, '--cache-dir', cacheDir];
  return startOwnDaemon(folders, process.env);
}
