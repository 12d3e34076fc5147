/**
 * A daemon with real VMs next to a model of it: which sandboxes and snapshots there are, and a number in the
 * memory and on the disk of each guest.
 *
 * `step` does one thing picked by chance to both (a kill of a VMM or of the daemon is one of them), and
 * compares. Of some sandboxes checkpoints are taken meanwhile; any of them goes back to any snapshot, or fails to.
 */
import assert from 'node:assert/strict';
import { messageOf, sleep } from '../../src/base/index.js';
import type { BranchRequestInput, Sandbox } from '../../src/contract/index.js';
import { Guest } from '../support/guest.js';
import { TEMPLATE_TAG } from '../support/test-host.js';
import type { FaultLab } from './fault-lab.js';
import { ModelTimelines, SCHEDULE } from './model-timelines.js';
import type { Seeded } from './seeded.js';

const MOST_SANDBOXES = 3;
const TAGS = ['m1', 'm2', 'm3', 'm4'];
/** Of one source in turns: its line gets long enough to be merged. */
const LINE_TAGS = ['l1', 'l2', 'l3'];
/** Of states before a rollback. */
const KEPT_TAGS = ['k1', 'k2'];
/** Where a rollback is made to fail, or the daemon to die; what comes after the last is the rolled back sandbox. */
const ROLLBACK_STEPS = ['rollback.restored', 'rollback.switched'] as const;
type RollbackFault = 'errno:EIO' | 'abort' | 'its VMM dies' | 'the new VMM dies';
const IN_THE_WAY_MS = 20;

const READ =
  "[globals().get('number', 0), int(open('/root/number').read()) if __import__('os').path.exists('/root/number') else 0]";

interface ModelSnapshot {
  readonly number: number;
  readonly parent: string;
}

interface ModelSandbox {
  /** Of its guest; undefined once the VMM was killed. */
  number: number | undefined;
  tag: string;
  /** What nothing changes. */
  readonly staying: Staying;
}

type Staying = Pick<Sandbox, 'id' | 'name' | 'metadata' | 'end_at_unix' | 'on_end' | 'created_at_unix'>;

const stayingOf = ({ id, name, metadata, end_at_unix, on_end, created_at_unix }: Sandbox): Staying => ({
  ...{ id, name, metadata, end_at_unix, on_end, created_at_unix },
});

const asText = (value: unknown): string => JSON.stringify(value);

export class HostModel {
  readonly #killsDaemon: boolean;
  readonly #checkpoints: boolean;
  readonly #lab: FaultLab;
  readonly #random: Seeded;
  readonly #sandboxes = new Map<string, ModelSandbox>();
  /** Those that stay until they are removed. */
  readonly #snapshots = new Map<string, ModelSnapshot>([[TEMPLATE_TAG, { number: 0, parent: '' }]]);
  readonly #timelines = new ModelTimelines();
  /** By the tags of `KEPT_TAGS` that are there, or were: the latest state of before. */
  readonly #kept = new Map<string, number>();
  #made = 0;
  #names = 0;
  #rollbacks = 0;

  private constructor(lab: FaultLab, random: Seeded, { killsDaemon = true, checkpoints = true }) {
    this.#killsDaemon = killsDaemon;
    this.#checkpoints = checkpoints;
    this.#lab = lab;
    this.#random = random;
  }

  /** A model of a lab in which only its own two sandboxes are. Without `checkpoints` there are no rollbacks either. */
  static async of(
    lab: FaultLab,
    random: Seeded,
    options: { readonly killsDaemon?: boolean; readonly checkpoints?: boolean } = {},
  ): Promise<HostModel> {
    const model = new HostModel(lab, random, options);
    for (const guest of [lab.source, lab.bystander]) {
      const [number = 0] = await guest.read<number[]>(READ);
      await model.#add(guest.id, number, TEMPLATE_TAG);
      model.#made = Math.max(model.#made, number);
    }
    return model;
  }

  /** How many checkpoints were taken by themselves, or kept by a rollback. */
  get checkpointsSeen(): number {
    return this.#timelines.seen;
  }

  /** How many of them have taken a sandbox back. */
  get rollbacks(): number {
    return this.#rollbacks;
  }

  /** Does one thing, and looks; what it did, in words. */
  async step(): Promise<string> {
    const step = this.#random.pick([
      () => this.#set(),
      () => this.#branch(),
      () => this.#branch(),
      () => this.#advance(),
      () => this.#spawn(),
      () => this.#spawn(),
      () => this.#end(),
      () => this.#delete(),
      () => this.#killVmm(),
      ...(this.#killsDaemon ? [() => this.#killDaemon()] : []),
      ...(this.#checkpoints ? [() => this.#schedule(), () => this.#rollback(), () => this.#rollback()] : []),
    ]);
    const did = await step();
    try {
      await this.#compare();
    } catch (error) {
      throw new Error(`${messageOf(error)}, after ${did}`, { cause: error });
    }
    return did;
  }

  #guest(id: string): Guest {
    return Guest.ofDaemon(this.#lab.client, id);
  }

  #known(id: string): ModelSandbox {
    const known = this.#sandboxes.get(id);
    assert(known);
    return known;
  }

  async #add(id: string, number: number, tag: string): Promise<void> {
    const staying = stayingOf(await this.#lab.client.sandboxes.get(id));
    this.#sandboxes.set(id, { number, tag, staying });
    this.#timelines.note(id, number);
  }

  #running(): [string, ModelSandbox][] {
    return [...this.#sandboxes].filter(([, { number }]) => number !== undefined);
  }

  /** Sandboxes that may come to an end: not the two which the lab keeps. */
  #mortal(): string[] {
    const kept = [this.#lab.source.id, this.#lab.bystander.id];
    return [...this.#sandboxes.keys()].filter((id) => !kept.includes(id));
  }

  async #set(): Promise<string> {
    const [id] = this.#random.pick(this.#running());
    await this.#write(id);
    return `${id} has ${this.#made}`;
  }

  /** The next number; a checkpoint may be taken when only its memory has it. */
  async #write(id: string): Promise<number> {
    const number = (this.#made += 1);
    this.#timelines.note(id, number);
    await this.#guest(id).python(`number = ${number}`);
    await this.#guest(id).shell(
      `echo ${number} > /root/next; mv /root/next /root/number; head -c 300000 /dev/urandom > /root/${number % 8}`,
    );
    this.#known(id).number = number;
    return number;
  }

  /** As a client does it that meets a checkpoint under way. */
  async #branched(id: string, request: BranchRequestInput): Promise<string | undefined> {
    for (;;) {
      const code = await this.#lab.outcome(this.#lab.client.sandboxes.branch(id, request));
      if (code !== 'branch_in_progress') return code;
      await sleep(IN_THE_WAY_MS);
    }
  }

  async #branch(): Promise<string> {
    const [id, { number = 0, tag: parent }] = this.#random.pick(this.#running());
    const tag = this.#random.pick(TAGS);
    const wait = this.#random.pick([true, 'durable'] as const);
    const checkpoint = this.#random.below(2) === 0;
    const code = await this.#branched(id, { tag, wait, checkpoint });
    assert.equal(code, this.#snapshots.has(tag) ? 'tag_exists' : undefined);
    if (code === undefined) this.#snapshots.set(tag, { number, parent });
    return `branch ${tag} of ${id}: ${code ?? 'made'}`;
  }

  /** Branches the lab's source again and again, with something new each time; each third snapshot takes an older one's name. */
  async #advance(): Promise<string> {
    const { id } = this.#lab.source;
    for (const tag of LINE_TAGS) {
      if (this.#snapshots.has(tag)) await this.#lab.client.snapshots.delete(tag, { force: true });
      const number = await this.#write(id);
      await this.#lab.client.sandboxes.branch(id, { tag });
      this.#snapshots.set(tag, { number, parent: this.#known(id).tag });
    }
    return `a line of ${id}`;
  }

  /** A snapshot that something may be started from. */
  #anyTag(): string {
    return this.#random.pick([...this.#snapshots.keys(), ...this.#timelines.tags]);
  }

  async #spawn(): Promise<string> {
    if (this.#sandboxes.size >= 2 + MOST_SANDBOXES) return 'nothing';
    const tag = this.#anyTag();
    const name = `model-${(this.#names += 1)}`;
    const options = { name, metadata: { of: tag }, timeout_secs: 3600 };
    let id = '';
    const code = await this.#lab.outcome(this.#lab.spawn(tag, options).then((guest) => (id = guest.id)));
    if (code !== undefined) return this.#wasThinnedOut(tag, code);
    await this.#add(id, 0, tag);
    await this.#nowAt(id, tag);
    const isScheduled = this.#checkpoints && this.#random.below(2) === 0;
    if (isScheduled) await this.#lab.client.sandboxes.timeline(id).setSchedule(SCHEDULE);
    return `${id} of ${tag}${isScheduled ? ' with checkpoints' : ''}`;
  }

  #wasThinnedOut(tag: string, code: string): string {
    assert.equal(code, 'snapshot_not_found', tag);
    assert(!this.#snapshots.has(tag), `"${tag}" is gone`);
    return `${tag} is thinned out`;
  }

  /** A guest that was just started of a snapshot has what that holds. */
  async #nowAt(id: string, tag: string): Promise<void> {
    const found = await this.#guest(id).read<number[]>(READ);
    const number = this.#snapshots.get(tag)?.number ?? this.#kept.get(tag);
    if (number === undefined) this.#timelines.assertPossible(tag, found);
    else assert.deepEqual(found, [number, number], `${id} of ${tag}`);
    const sandbox = this.#known(id);
    Object.assign(sandbox, { tag, number });
    for (const each of found) this.#timelines.note(id, each);
    if (number === undefined) await this.#write(id);
  }

  async #schedule(): Promise<string> {
    const mortal = this.#mortal();
    if (mortal.length === 0) return 'nothing';
    const id = this.#random.pick(mortal);
    const timeline = this.#lab.client.sandboxes.timeline(id);
    const isOn = this.#random.below(3) > 0;
    if (isOn) await timeline.setSchedule(SCHEDULE);
    else await timeline.removeSchedule();
    return `${id} with${isOn ? '' : 'out'} checkpoints`;
  }

  /** Takes one to a snapshot, whoever's; one in two is disturbed. */
  async #rollback(): Promise<string> {
    const mortal = this.#mortal();
    if (mortal.length === 0) return 'nothing';
    const id = this.#random.pick(mortal);
    const sandbox = this.#known(id);
    const [tag, before] = [this.#anyTag(), sandbox.number];
    const keepTag = this.#random.below(3) === 0 ? undefined : this.#random.pick(KEPT_TAGS);
    const place = this.#random.pick(ROLLBACK_STEPS);
    const fault = this.#random.below(2) === 0 ? 'nothing' : this.#random.pick(this.#faults(tag));
    await this.#disturb(id, place, fault);
    let isKept = false;
    const rollback = this.#lab.client.sandboxes
      .timeline(id)
      .rollback(tag, keepTag === undefined ? { keep: false } : { keep_tag: keepTag })
      .then(({ kept }) => (isKept = kept !== undefined));
    const code = await this.#lab.outcome(rollback);
    const did = `rollback of ${id} to ${tag}, ${keepTag ?? 'nothing'} kept, ${fault} at ${place}: ${code ?? 'done'}`;
    if (code === 'unreachable') {
      assert.equal(fault, 'abort', did);
      await this.#lab.died();
      assert(await this.#lab.start(), this.#lab.log);
      isKept = keepTag !== undefined && before !== undefined;
    } else await this.#lab.arm('');
    const isBack = code === undefined || (code === 'unreachable' && place === 'rollback.switched');
    if (code === undefined) assert(fault === 'nothing' || fault === 'its VMM dies', did);
    else if (fault === 'nothing' && !(code === 'tag_exists' && this.#kept.has(keepTag ?? '')))
      this.#wasThinnedOut(tag, code);
    if (isBack) {
      this.#rollbacks += 1;
      await this.#nowAt(id, tag);
      if (isKept) this.#kept.set(keepTag ?? '', before ?? 0);
    } else if (fault === 'its VMM dies' && before !== undefined) {
      await this.#lab.failed(id);
      sandbox.number = undefined;
    }
    return did;
  }

  /**
   * A rollback survives the end of the VMM of before, unless it still has to keep its state; of the new one it does not. Neither is killed
   * where the snapshot may be thinned out, and there is nothing to meet.
   */
  #faults(tag: string): RollbackFault[] {
    const deaths = this.#snapshots.has(tag) ? (['its VMM dies', 'the new VMM dies'] as const) : [];
    return ['errno:EIO', ...deaths, ...(this.#killsDaemon ? (['abort'] as const) : [])];
  }

  async #disturb(id: string, place: string, fault: RollbackFault | 'nothing'): Promise<void> {
    if (fault === 'nothing') return;
    if (fault === 'errno:EIO' || fault === 'abort') return this.#lab.arm(`${place}=${fault}`);
    const { pid } = await this.#lab.client.sandboxes.get(id);
    await this.#lab.meet('rollback.restored', 1, async () => {
      const own = pid === null ? [] : [pid];
      for (const each of fault === 'its VMM dies' ? own : await this.#lab.unlistedVmms())
        process.kill(each, 'SIGKILL');
    });
  }

  async #end(): Promise<string> {
    const mortal = this.#mortal();
    if (mortal.length === 0) return 'nothing';
    const id = this.#random.pick(mortal);
    await this.#lab.client.sandboxes.delete(id);
    this.#sandboxes.delete(id);
    return `the end of ${id}`;
  }

  async #delete(): Promise<string> {
    const tags = [...this.#snapshots.keys()].filter((tag) => tag !== TEMPLATE_TAG);
    if (tags.length === 0) return 'nothing';
    const tag = this.#random.pick(tags);
    const force = this.#random.below(2) === 0;
    const isUsed =
      [...this.#sandboxes.values()].some((sandbox) => sandbox.tag === tag) ||
      [...this.#snapshots.values()].some(({ parent }) => parent === tag) ||
      (await this.#lab.client.snapshots.list()).some(({ parent_tag }) => parent_tag === tag);
    // Names that were taken over by another snapshot do not count as the same; so the model only knows what
    // must work.
    const code = await this.#lab.outcome(this.#lab.client.snapshots.delete(tag, { force }));
    if (force || !isUsed) assert.equal(code, undefined);
    if (code === undefined) {
      this.#snapshots.delete(tag);
      this.#timelines.forgetNewest();
    }
    return `the removal of ${tag}: ${code ?? 'done'}`;
  }

  async #killVmm(): Promise<string> {
    const mortal = this.#mortal().filter((id) => this.#sandboxes.get(id)?.number !== undefined);
    if (mortal.length === 0) return 'nothing';
    const id = this.#random.pick(mortal);
    const { pid } = await this.#lab.client.sandboxes.get(id);
    assert(pid !== null);
    process.kill(pid, 'SIGKILL');
    await this.#lab.failed(id);
    this.#known(id).number = undefined;
    return `the death of ${id}`;
  }

  async #killDaemon(): Promise<string> {
    await this.#lab.kill();
    assert(await this.#lab.start(), this.#lab.log);
    return 'the death of the daemon';
  }

  async #compare(): Promise<void> {
    const { client } = this.#lab;
    const sandboxes = await client.sandboxes.list();
    const shown = sandboxes.map((each) => [each.state, each.snapshot_tag, stayingOf(each)]);
    const expected = [...this.#sandboxes.values()].map(({ number, tag, staying }) => [
      ...[number === undefined ? 'failed' : 'running', tag, staying],
    ]);
    assert.deepEqual(shown.map(asText).sort(), expected.map(asText).sort());
    const snapshots = await client.snapshots.list();
    const own = snapshots.filter(({ tag }) => this.#snapshots.has(tag));
    assert.deepEqual(
      own.map(({ tag, status }) => `${tag} ${status}`).sort(),
      [...this.#snapshots.keys()].map((tag) => `${tag} ready`).sort(),
    );
    const others = snapshots.filter((each) => !own.includes(each));
    await this.#timelines.compare(client, others, [...this.#sandboxes.keys()]);
    const [id, { number, staying }] = this.#random.pick(this.#running());
    assert.equal((await client.sandboxes.get(staying.name ?? id)).id, id, 'its name is its own');
    assert.deepEqual(await this.#guest(id).read<number[]>(READ), [number, number], id);
  }
}
