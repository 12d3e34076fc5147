/**
 * A daemon with real VMs next to a model of it: which sandboxes and snapshots there are, and a number in the
 * memory and on the disk of each guest.
 *
 * `step` does one thing picked by chance to both (a kill of a VMM or of the daemon is one of them), and
 * compares.
 */
import assert from 'node:assert/strict';
import { Guest } from '../support/guest.js';
import { TEMPLATE_TAG } from '../support/test-host.js';
import type { FaultLab } from './fault-lab.js';
import type { Seeded } from './seeded.js';

const MOST_SANDBOXES = 3;
const TAGS = ['m1', 'm2', 'm3', 'm4'];
/** Of one source in turns: its line gets long enough to be merged. */
const LINE_TAGS = ['l1', 'l2', 'l3'];

const READ =
  "[globals().get('number', 0), int(open('/root/number').read()) if __import__('os').path.exists('/root/number') else 0]";

interface ModelSnapshot {
  readonly number: number;
  readonly parent: string;
}

export class HostModel {
  readonly #killsDaemon: boolean;
  readonly #lab: FaultLab;
  readonly #random: Seeded;
  /** Ids to the numbers their guests have; undefined once the VMM was killed. */
  readonly #sandboxes = new Map<string, { number: number | undefined; readonly tag: string }>();
  readonly #snapshots = new Map<string, ModelSnapshot>([[TEMPLATE_TAG, { number: 0, parent: '' }]]);
  #made = 0;

  private constructor(lab: FaultLab, random: Seeded, killsDaemon: boolean) {
    this.#killsDaemon = killsDaemon;
    this.#lab = lab;
    this.#random = random;
  }

  /** A model of a lab in which only its own two sandboxes are. */
  static async of(lab: FaultLab, random: Seeded, { killsDaemon = true } = {}): Promise<HostModel> {
    const model = new HostModel(lab, random, killsDaemon);
    for (const guest of [lab.source, lab.bystander]) {
      const [number = 0] = await guest.read<number[]>(READ);
      model.#sandboxes.set(guest.id, { number, tag: TEMPLATE_TAG });
      model.#made = Math.max(model.#made, number);
    }
    return model;
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
    ]);
    const did = await step();
    await this.#compare(did);
    return did;
  }

  #guest(id: string): Guest {
    return Guest.ofDaemon(this.#lab.client, id);
  }

  #running(): [string, { number: number | undefined; readonly tag: string }][] {
    return [...this.#sandboxes].filter(([, { number }]) => number !== undefined);
  }

  /** Sandboxes that may come to an end: not the two which the lab keeps. */
  #mortal(): string[] {
    const kept = [this.#lab.source.id, this.#lab.bystander.id];
    return [...this.#sandboxes.keys()].filter((id) => !kept.includes(id));
  }

  async #set(): Promise<string> {
    const [id, sandbox] = this.#random.pick(this.#running());
    const number = (this.#made += 1);
    await this.#write(id, number);
    sandbox.number = number;
    return `${id} has ${number}`;
  }

  async #write(id: string, number: number): Promise<void> {
    await this.#guest(id).python(`number = ${number}`);
    await this.#guest(id).shell(
      `echo ${number} > /root/number; head -c 300000 /dev/urandom > /root/${number % 8}`,
    );
  }

  async #branch(): Promise<string> {
    const [id, { number = 0, tag: parent }] = this.#random.pick(this.#running());
    const tag = this.#random.pick(TAGS);
    const wait = this.#random.pick([true, 'durable'] as const);
    const code = await this.#lab.outcome(this.#lab.client.sandboxes.branch(id, { tag, wait }));
    assert.equal(code, this.#snapshots.has(tag) ? 'tag_exists' : undefined);
    if (code === undefined) this.#snapshots.set(tag, { number, parent });
    return `branch ${tag} of ${id}: ${code ?? 'made'}`;
  }

  /** Branches the lab's source again and again, with something new each time; each third snapshot takes an older one's name. */
  async #advance(): Promise<string> {
    const { id } = this.#lab.source;
    const sandbox = this.#sandboxes.get(id);
    assert(sandbox?.number !== undefined);
    for (const tag of LINE_TAGS) {
      if (this.#snapshots.has(tag)) await this.#lab.client.snapshots.delete(tag, { force: true });
      sandbox.number = this.#made += 1;
      await this.#write(id, sandbox.number);
      await this.#lab.client.sandboxes.branch(id, { tag });
      this.#snapshots.set(tag, { number: sandbox.number, parent: sandbox.tag });
    }
    return `a line of ${id}`;
  }

  async #spawn(): Promise<string> {
    if (this.#sandboxes.size >= 2 + MOST_SANDBOXES) return 'nothing';
    const [tag, { number }] = this.#random.pick([...this.#snapshots]);
    const { id } = await this.#lab.spawn(tag);
    this.#sandboxes.set(id, { number, tag });
    return `${id} of ${tag}`;
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
      [...this.#snapshots.values()].some(({ parent }) => parent === tag);
    // Names that were taken over by another snapshot do not count as the same; so the model only knows what
    // must work.
    const code = await this.#lab.outcome(this.#lab.client.snapshots.delete(tag, { force }));
    if (force || !isUsed) assert.equal(code, undefined);
    if (code === undefined) this.#snapshots.delete(tag);
    return `the removal of ${tag}: ${code ?? 'done'}`;
  }

  async #killVmm(): Promise<string> {
    const mortal = this.#mortal().filter((id) => this.#sandboxes.get(id)?.number !== undefined);
    if (mortal.length === 0) return 'nothing';
    const id = this.#random.pick(mortal);
    const { pid, snapshot_tag: tag } = await this.#lab.client.sandboxes.get(id);
    assert(pid !== null);
    process.kill(pid, 'SIGKILL');
    await this.#lab.failed(id);
    this.#sandboxes.set(id, { number: undefined, tag });
    return `the death of ${id}`;
  }

  async #killDaemon(): Promise<string> {
    await this.#lab.kill();
    assert(await this.#lab.start(), this.#lab.log);
    return 'the death of the daemon';
  }

  async #compare(did: string): Promise<void> {
    const { client } = this.#lab;
    const sandboxes = (await client.sandboxes.list()).map(({ id, state }) => `${id} ${state}`);
    const expected = [...this.#sandboxes].map(
      ([id, { number }]) => `${id} ${number === undefined ? 'failed' : 'running'}`,
    );
    assert.deepEqual(sandboxes.sort(), expected.sort(), `after ${did}`);
    const tags = (await client.snapshots.list()).map(({ tag, status }) => `${tag} ${status}`);
    assert.deepEqual(
      tags.sort(),
      [...this.#snapshots.keys()].map((tag) => `${tag} ready`).sort(),
      `after ${did}`,
    );
    const [id, { number }] = this.#random.pick(this.#running());
    assert.deepEqual(await this.#guest(id).read<number[]>(READ), [number, number], `${id} after ${did}`);
  }
}
