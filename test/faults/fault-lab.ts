/**
 * A daemon with real VMs that tests kill, at a place in its code or at any moment, and start again over the
 * same folders.
 *
 * Two sandboxes are there all the time: the *source* operations are done on, whose guest counts, and a
 * *bystander*. After each fault `settle` looks at everything and cleans up: who runs, who was promised, what
 * is left.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { sleep } from '../../src/base/index.js';
import type { Sandbox, SpawnRequestInput } from '../../src/contract/index.js';
import { BoughApiError, BoughUnreachable } from '../../src/sdk/index.js';
import { assertOwnLayers } from '../support/layer-files.js';
import { Guest } from '../support/guest.js';
import { difference, inventory, sandboxFolders, vmProcesses, type VmProcess } from '../support/leftovers.js';
import { beatsBeyond, SELDOM_MS, startPulse } from '../support/pulse.js';
import { foldersWithTemplate, type OwnFolders } from '../support/template-copy.js';
import { TEMPLATE_TAG } from '../support/test-host.js';
import { DEADLINE_MS, LabDaemon, POLL_MS } from './lab-daemon.js';

const LEFTOVER_MS = 5_000;

/** What `settle` is told about the fault. */
export interface Expected {
  /** The source's VMM was killed. */
  readonly sourceDied?: boolean;
  /** A tag that may be there; it must then be whole. */
  readonly tag?: string | undefined;
  /** Of these tags one must be there. */
  readonly others?: readonly string[] | undefined;
  /** The tag was given out before: it may be listed as failed. */
  readonly mayBeFailed?: boolean;
  /** Start a child of that tag too, if it is there. */
  readonly startChild?: boolean;
  /** Whoever was interrupted asks again, and has `sandboxes` afterwards, not more. */
  readonly again?: (() => Promise<unknown>) | undefined;
  readonly sandboxes?: number;
}

export class FaultLab extends LabDaemon {
  source!: Guest;
  bystander!: Guest;
  #before: string[] = [];
  #beats = 0;
  #requests = 0;
  #isClean = true;

  static async open(folders: string | OwnFolders, { warmVmms = 0 } = {}): Promise<FaultLab> {
    const own = typeof folders === 'string' ? await foldersWithTemplate(folders) : folders;
    const lab = new FaultLab(own, warmVmms);
    try {
      await lab.start();
      lab.#before = await lab.inventory();
      lab.bystander = await lab.spawn();
      await lab.newSource();
    } catch (error) {
      await lab.close().catch(() => undefined);
      throw error;
    }
    return lab;
  }

  /** Idempotency key of the operation that is interrupted; `clean` ends with another. */
  get requestName(): string {
    return `request-${this.#requests}`;
  }

  override async start(failpoints = ''): Promise<boolean> {
    if (!(await super.start(failpoints))) return false;
    // The guests of before are now reached through this daemon.
    for (const which of ['source', 'bystander'] as const) {
      const guest = this[which] as Guest | undefined;
      if (guest !== undefined) this[which] = Guest.ofDaemon(this.client, guest.id);
    }
    return true;
  }

  async spawn(tag = TEMPLATE_TAG, options: Omit<SpawnRequestInput, 'snapshot_tag'> = {}): Promise<Guest> {
    const [sandbox] = await this.client.sandboxes.spawn({ snapshot_tag: tag, ...options });
    assert(sandbox);
    return Guest.ofDaemon(this.client, sandbox.id);
  }

  /** A source for the operations to come. */
  async newSource(): Promise<void> {
    this.source = await this.spawn();
    await startPulse(this.source, SELDOM_MS);
    this.#beats = 0;
  }

  async sourcePid(): Promise<number> {
    const { pid } = await this.client.sandboxes.get(this.source.id);
    assert(pid !== null);
    return pid;
  }

  /** Processes of VMMs that belong to no sandbox of the list: children on their way, and those that stand ready. */
  async unlistedVmms(): Promise<number[]> {
    return (await this.#unlisted()).map(({ pid }) => pid);
  }

  async #unlisted(): Promise<VmProcess[]> {
    const listed = new Set((await this.client.sandboxes.list()).map(({ pid }) => pid));
    return (await vmProcesses(this.folders.hotDir)).filter(({ pid }) => !listed.has(pid));
  }

  /** Those that stand ready, when there are no others that belong to no sandbox; waits for `least`. */
  async idleVmms(least = 0): Promise<VmProcess[]> {
    let unlisted: VmProcess[] = [];
    for (let waitedMs = 0; waitedMs < DEADLINE_MS; waitedMs += POLL_MS) {
      unlisted = await this.#unlisted();
      if (unlisted.length >= least && (await this.idleCount()) === unlisted.length) return unlisted;
      await sleep(POLL_MS);
    }
    assert.fail(`VMMs are left that are no sandboxes: ${unlisted.map(({ pid }) => pid).join()}`);
  }

  /**
   * What an operation that was interrupted ended with: undefined for success. Anything but an answer of the
   * daemon's is thrown.
   */
  async outcome(operation: Promise<unknown>): Promise<string | undefined> {
    try {
      await operation;
      return undefined;
    } catch (error) {
      if (error instanceof BoughUnreachable) return 'unreachable';
      if (!(error instanceof BoughApiError)) throw error;
      assert.match(error.code, /^[a-z_]+$/);
      return error.code;
    }
  }

  /**
   * Looks at everything after a fault, see the header; then only the source and the bystander are there
   * again.
   */
  async settle(expected: Expected): Promise<void> {
    await this.#check(expected);
    await this.clean();
  }

  async #check({
    sourceDied = false,
    tag,
    others = [],
    mayBeFailed = false,
    startChild = false,
    again,
    sandboxes = 0,
  }: Expected): Promise<void> {
    await this.#checkSandboxes(sourceDied);
    await this.#checkSnapshots(tag, others, mayBeFailed);
    if (again !== undefined && !sourceDied) {
      const code = await this.outcome(again());
      // What was to be removed may be gone.
      assert(code === undefined || code.endsWith('_not_found'), `asked again, it was refused: ${code ?? ''}`);
      await this.#checkSnapshots(tag, others, mayBeFailed);
      const { length } = await this.client.sandboxes.list();
      assert.equal(length, 2 + sandboxes, 'asked again, it made another number of sandboxes');
    }
    const isThere = (await this.client.snapshots.list()).some(
      (each) => each.tag === tag && each.status === 'ready',
    );
    if (startChild && isThere && tag !== undefined) {
      const child = await this.spawn(tag);
      await beatsBeyond(child, 0);
      await this.client.sandboxes.delete(child.id);
    }
    assert.deepEqual(await settled(() => this.#leftovers()), [], 'files belong to nobody');
    await this.#checkOwnLayers();
  }

  /** Removes all but the source and the bystander, and checks that nothing else is left. */
  async clean(): Promise<void> {
    this.#requests += 1;
    const kept = [this.source.id, this.bystander.id];
    for (const { id } of await this.client.sandboxes.list()) {
      if (!kept.includes(id)) await this.client.sandboxes.delete(id);
    }
    for (const { tag } of await this.client.snapshots.list()) {
      if (tag === TEMPLATE_TAG) continue;
      const code = await this.outcome(this.client.snapshots.delete(tag, { force: true }));
      // Checkpoints go by themselves, too.
      assert(code === undefined || code === 'snapshot_not_found', `${tag}: ${code ?? ''}`);
    }
    assert.deepEqual(
      await settled(() => this.#leftAfterAll(kept)),
      [],
      'files are left after everything was deleted',
    );
    this.#isClean = true;
  }

  async #leftAfterAll(kept: readonly string[]): Promise<string[]> {
    const left = difference(this.#before, await this.inventory());
    const folders = [...(await this.#sandboxFolders(kept)), ...(await this.#idleFolders())];
    return left.filter(
      (line) => !folders.some((name) => line.includes(name)) && !line.startsWith('+ process'),
    );
  }

  inventory(): Promise<string[]> {
    return inventory(this.folders);
  }

  /** Before a test: whatever the one before has failed with, a daemon runs with nothing armed, and only the two sandboxes are there. */
  async begin(): Promise<void> {
    if (!this.#isClean) {
      await this.ensureRunning();
      await this.arm('');
      await this.outcome(this.client.sandboxes.delete(this.source.id));
      await this.newSource();
      await this.clean();
    }
    this.#isClean = false;
  }

  async close(): Promise<void> {
    try {
      await this.ensureRunning();
      for (const { id } of await this.client.sandboxes.list()) await this.client.sandboxes.delete(id);
    } finally {
      await this.stop();
      for (const { pid } of await vmProcesses(this.folders.hotDir)) process.kill(pid, 'SIGKILL');
      await this.folders.remove();
    }
  }

  async #checkSandboxes(sourceDied: boolean): Promise<void> {
    const sandboxes = await this.client.sandboxes.list();
    const stateOf = (id: string): Sandbox['state'] | undefined =>
      sandboxes.find((sandbox) => sandbox.id === id)?.state;
    assert.equal(stateOf(this.bystander.id), 'running');
    assert.equal(await this.bystander.python('6 * 7'), '42');
    if (sourceDied) {
      await this.failed(this.source.id);
      await this.client.sandboxes.delete(this.source.id);
      await this.newSource();
    } else {
      assert.equal(stateOf(this.source.id), 'running');
      this.#beats = await beatsBeyond(this.source, this.#beats);
    }
    for (const { id } of await this.client.sandboxes.list()) {
      if (id === this.bystander.id || id === this.source.id) continue;
      const code = await this.outcome(Guest.ofDaemon(this.client, id).python('6 * 7'));
      // A child that was killed just when it was ready.
      if (code !== undefined && code !== 'sandbox_not_running') await this.failed(id);
    }
    await this.idleVmms();
    const processes = new Set((await vmProcesses(this.folders.hotDir)).map(({ pid }) => pid));
    for (const { id, pid } of await this.client.sandboxes.list())
      assert(pid === null || processes.has(pid), `${id} runs without a process`);
  }

  /** Waits until a sandbox whose VMM was killed is listed as failed, with the reason. */
  async failed(id: string): Promise<void> {
    for (let waitedMs = 0; waitedMs < DEADLINE_MS; waitedMs += POLL_MS) {
      const { state, state_reason: reason } = await this.client.sandboxes.get(id);
      if (state === 'failed') {
        assert(reason);
        return;
      }
      await sleep(POLL_MS);
    }
    assert.fail('a sandbox whose VMM was killed does not fail');
  }

  /** Every listed snapshot is expected, and becomes durable. */
  async #checkSnapshots(
    tag: string | undefined,
    others: readonly string[],
    mayBeFailed: boolean,
  ): Promise<void> {
    for (let waitedMs = 0; waitedMs < DEADLINE_MS; waitedMs += POLL_MS) {
      const snapshots = await this.client.snapshots.list();
      for (const each of snapshots) {
        assert([TEMPLATE_TAG, tag, ...others].includes(each.tag), `"${each.tag}" came from nowhere`);
        assert(each.status !== 'failed' || mayBeFailed, each.warning);
      }
      const isThere = others.length === 0 || snapshots.some((each) => others.includes(each.tag));
      assert(isThere, `${others.join()} are gone`);
      if (snapshots.every(({ durable, status }) => durable === true || status === 'failed')) return;
      if (snapshots.some(({ warning }) => warning !== undefined)) return;
      await sleep(POLL_MS);
    }
    assert.fail('a snapshot does not become durable');
  }

  async #sandboxFolders(ids: readonly string[]): Promise<string[]> {
    const folders = await sandboxFolders(this.folders);
    return ids.map((id) => folders.get(id) ?? `sandboxes/${id}`);
  }

  async #idleFolders(): Promise<string[]> {
    return (await this.idleVmms()).map(({ folder }) => folder);
  }

  /** Of those whose guest runs: nothing is left in memory of one that has ended. */
  async #checkOwnLayers(): Promise<void> {
    const { stateDir, hotDir } = this.folders;
    const running = (await this.client.sandboxes.list()).filter(({ state }) => state === 'running');
    for (const folder of await this.#sandboxFolders(running.map(({ id }) => id)))
      await assertOwnLayers(join(hotDir, folder), join(stateDir, folder));
  }

  async #leftovers(): Promise<string[]> {
    const found = difference(this.#before, await this.inventory());
    const listed = (await this.client.sandboxes.list()).map(({ id }) => id);
    const sandboxes = [...(await this.#sandboxFolders(listed)), ...(await this.#idleFolders())];
    const snapshots = await this.client.snapshots.list();
    // One that could not be made durable keeps what it has on disk, for the next daemon to try again.
    const isHalfDurable = snapshots.some(({ durable, status }) => status === 'ready' && durable !== true);
    const shown = [...sandboxes, ...snapshots.map(({ tag }) => `snapshots/${tag}`)];
    const belongs = (line: string): boolean =>
      /^[+-] process/.test(line) ||
      (isHalfDurable && line.includes(' snapshots/.ready-')) ||
      shown.some((name) => line.endsWith(name) || line.includes(`${name}/`));
    return found.filter((line) => !belongs(line));
  }
}

/** What is found once there is nothing to find any more, or after a while: a VMM that is to stand ready has folders before it is a process. */
async function settled(find: () => Promise<string[]>): Promise<string[]> {
  let found = await find();
  for (let waitedMs = 0; found.length > 0 && waitedMs < LEFTOVER_MS; waitedMs += POLL_MS) {
    await sleep(POLL_MS);
    found = await find();
  }
  return found;
}
