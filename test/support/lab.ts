/**
 * A host of a test file's own in this process, with the warm template in it.
 *
 * `clean()` after each test removes what the test made through the host, and then nothing may be left.
 */
import assert from 'node:assert/strict';
import type { BranchSpec } from '../../src/sandbox/branch/capture.js';
import { networkPolicySchema, type Emit, type NetworkPolicyInput } from '../../src/contract/index.js';
import type { LocalHost } from '../../src/sandbox/host/local-host.js';
import { openHost, type HostOptions } from '../../src/sandbox/host/open-host.js';
import { sleep } from '../../src/base/index.js';
import { Guest } from './guest.js';
import { difference, inventory, sandboxFolders } from './leftovers.js';
import { foldersWithTemplate, type OwnFolders } from './template-copy.js';
import { TEMPLATE_TAG } from './test-host.js';
import { limitMs } from './time-limit.js';

const POLL_MS = 20;
const DURABLE_DEADLINE_MS = limitMs(60_000);

/** What the host told: `event` and its facts. */
export type LoggedEvent = { readonly event: string } & Readonly<Record<string, unknown>>;

export class Lab {
  /** May be closed and opened again over the same folders. */
  host: LocalHost;
  readonly folders: OwnFolders;
  readonly events: LoggedEvent[];
  readonly #before: string[];
  readonly #keptTags: string[];

  private constructor(
    host: LocalHost,
    folders: OwnFolders,
    events: LoggedEvent[],
    before: string[],
    keptTags: string[],
  ) {
    this.host = host;
    this.folders = folders;
    this.events = events;
    this.#before = before;
    this.#keptTags = keptTags;
  }

  /** Opens a host over folders named after the test file. */
  static async open(
    name: string,
    options: Partial<
      Pick<HostOptions, 'maxConcurrentBranches' | 'dnsServers' | 'networkPresets' | 'trustFile' | 'warmVmms'>
    > & {
      folders?: OwnFolders;
    } = {},
  ): Promise<Lab> {
    const { maxConcurrentBranches = 4, folders = await foldersWithTemplate(name), ...network } = options;
    const events: LoggedEvent[] = [];
    const emit: Emit = (event, facts) => void events.push({ ...facts, event });
    const host = await openHost({ ...folders, ...network, maxConcurrentBranches, emit }).catch(
      async (error: unknown) => {
        await folders.remove();
        throw error;
      },
    );
    const keptTags = (await host.listSnapshots()).map(({ tag }) => tag);
    return new Lab(host, folders, events, await inventory(folders, keptTags), keptTags);
  }

  /** One sandbox of a snapshot. */
  async spawn(tag = TEMPLATE_TAG, network?: NetworkPolicyInput): Promise<Guest> {
    const policy = network && networkPolicySchema.parse(network);
    const [sandbox] = await this.host.spawn({ snapshotTag: tag, count: 1, network: policy });
    assert(sandbox);
    return Guest.ofHost(this.host, sandbox.id);
  }

  /** Branches and returns the tag. */
  async branch(guest: Guest, how: Partial<BranchSpec> = {}): Promise<string> {
    const { mode = 'live', wait = 'ready', ...more } = how;
    return (await this.host.branch(guest.id, { mode, wait, ...more })).tag;
  }

  /** Ends a sandbox. */
  async end(guest: Guest): Promise<void> {
    await this.host.removeSandbox(guest.id);
  }

  /** Waits until a snapshot is no longer being written. */
  async settled(tag: string): Promise<string> {
    for (;;) {
      const { status } = await this.host.getSnapshot(tag);
      if (status !== 'writing') return status;
      await sleep(POLL_MS);
    }
  }

  /** Files and folders that belong to nothing the host shows: call it while sandboxes and snapshots of the test exist. */
  async leftovers(): Promise<string[]> {
    await this.#durable();
    const folders = await sandboxFolders(this.folders);
    const sandboxes = (await this.host.listSandboxes()).map(({ id }) => folders.get(id) ?? `sandboxes/${id}`);
    const tags = (await this.host.listSnapshots()).map(({ tag }) => `snapshots/${tag}`);
    const shown = [...sandboxes, ...tags];
    const belongs = (line: string): boolean =>
      line.startsWith('process ') || shown.some((name) => line.endsWith(name) || line.includes(`${name}/`));
    return (await inventory(this.folders, this.#keptTags)).filter(
      (line) => !this.#before.includes(line) && !belongs(line),
    );
  }

  /** Removes what a test made, and checks that nothing else is left. */
  async clean(): Promise<void> {
    for (const { id } of await this.host.listSandboxes()) await this.host.removeSandbox(id);
    for (const { tag } of await this.host.listSnapshots()) {
      if (!this.#keptTags.includes(tag)) await this.host.deleteSnapshot(tag, { cascade: false, force: true });
    }
    this.events.length = 0;
    assert.deepEqual(difference(this.#before, await inventory(this.folders, this.#keptTags)), []);
  }

  /** Waits until nothing is being made durable in the background. */
  async #durable(): Promise<void> {
    const giveUpMs = performance.now() + DURABLE_DEADLINE_MS;
    while (performance.now() < giveUpMs) {
      const snapshots = await this.host.listSnapshots();
      if (snapshots.every(({ durable }) => durable)) return;
      await sleep(POLL_MS);
    }
    assert.fail('a snapshot does not become durable');
  }

  /** Ends everything and removes the folders. */
  async close(): Promise<void> {
    try {
      await this.clean();
    } finally {
      await this.host.close();
      await this.folders.remove();
    }
  }
}
