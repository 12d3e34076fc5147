/**
 * Timelines of a few sandboxes next to a model of them: what each sandbox is and holds, which snapshots there are and what they hold.
 *
 * `step` does one thing picked by chance, with another happening in the middle of it, and compares. Whatever is done:
 *   - a sandbox keeps its id, name, metadata, policy, end and schedule; it is at a snapshot's number, or at the one it had
 *   - what is listed can be started from and holds what was captured, in the order in which it was captured
 *   - what was asked for stays until it is removed; the newest of a sandbox that is there, the newest that is durable, and what one stands on
 *     are not thinned out; what a rule keeps stays, and what none keeps goes
 *   - a rollback that fails leaves the sandbox, and its timeline, as they were
 *   - a VM runs for each sandbox that does, and no other; no folder is nobody's
 */
import assert from 'node:assert/strict';
import { armFailpoint, disarmFailpoints } from '../../src/base/index.js';
import { readRecord } from '../../src/sandbox/entity/record.js';
import type { CollectionReport } from '../../src/sandbox/upkeep/collector.js';
import type { Seeded } from './seeded.js';
import { assertThinned } from './thinning-rules.js';
import {
  FAULTS,
  POLICY,
  RULES,
  STEPS,
  stayingOf,
  type Fault,
  type ModelSandbox,
  type ModelSnapshot,
} from './timeline-facts.js';
import { BASE, TimelineWorld } from './timeline-world.js';

const LEAST_SANDBOXES = 2;
const MOST_SANDBOXES = 4;
const TAGS = ['a', 'b', 'c'];
const KEPT_TAGS = ['k1', 'k2'];
/** Its sandbox, and the snapshot that it goes to. */
interface RollbackUnderWay {
  readonly id: string;
  readonly target: string | undefined;
}

const EIO = (): never => {
  throw Object.assign(new Error('EIO'), { code: 'EIO' });
};

export class TimelineModel {
  readonly #world: TimelineWorld;
  readonly #random: Seeded;
  readonly #sandboxes = new Map<string, ModelSandbox>();
  readonly #snapshots = new Map<string, ModelSnapshot>();
  #made = 0;
  /** How often what was worth doing was done. */
  readonly tally = { rollbacks: 0, failedRollbacks: 0, thinnedOut: 0, scheduled: 0 };

  constructor(world: TimelineWorld, random: Seeded) {
    this.#world = world;
    this.#random = random;
    const still = { of: undefined, ordinal: 0, atBootMs: 0, atUnixMs: 0, thinning: undefined };
    this.#snapshots.set(BASE, { number: 0, parent: '', ...still });
    world.onCapture = ({ tag, branchedFrom = '', parentTag = '', retention }, number) => {
      const sandbox = this.#known(branchedFrom);
      assert.equal(number, sandbox.number);
      const { atBootMs, atUnixMs } = { atBootMs: world.clock.bootMs(), atUnixMs: world.clock.unixMs() };
      const of = retention?.checkpoint && branchedFrom;
      const ordinal = (sandbox.branchCount += 1);
      const thinning = retention?.checkpoint?.thinning;
      this.#snapshots.set(tag, { number, parent: parentTag, of, ordinal, atBootMs, atUnixMs, thinning });
    };
  }

  async step(): Promise<string> {
    const isEmpty = this.#sandboxes.size < LEAST_SANDBOXES;
    const did = await this.#random.pick<() => string | Promise<string>>([
      ...(isEmpty ? Array.from({ length: 20 }, () => () => this.#spawn()) : []),
      () => this.#pass(),
      () => this.#pass(),
      () => this.#pass(),
      () => this.#set(),
      () => this.#branch(),
      () => this.#spawn(),
      () => this.#schedule(),
      () => this.#schedule(),
      () => this.#rollback(),
      () => this.#rollback(),
      () => this.#rollback(),
      () => this.#die(),
      () => this.#end(),
      () => this.#delete(),
      () => this.#restart(),
    ])();
    try {
      await this.#compare();
    } catch (error) {
      throw new Error(`after ${did}`, { cause: error });
    }
    return did;
  }

  #known(id: string): ModelSandbox {
    const found = this.#sandboxes.get(id);
    assert(found, id);
    return found;
  }

  #any(which: (sandbox: ModelSandbox) => boolean = () => true): [string, ModelSandbox] | undefined {
    const found = [...this.#sandboxes].filter(([, sandbox]) => which(sandbox));
    return found.length === 0 ? undefined : this.#random.pick(found);
  }

  /** Its checkpoints, oldest first. */
  #timeline(id: string): [string, ModelSnapshot][] {
    return [...this.#snapshots]
      .filter(([, { of }]) => of === id)
      .sort(([, a], [, b]) => a.ordinal - b.ordinal);
  }

  /** Time passes: who is due has another checkpoint, and what no rule keeps goes. */
  async #pass(): Promise<string> {
    const { clock, housekeeping } = this.#world;
    const secs = 1 + this.#random.below(8);
    const due = [...this.#sandboxes].filter(
      ([, { schedule, isRunning }]) => isRunning && schedule !== undefined && schedule.everySecs <= secs,
    );
    const before = new Map(due.map(([id, { branchCount }]) => [id, branchCount]));
    // Those that wait after a failure wait no longer than this.
    clock.pass(secs);
    if (this.#random.below(6) === 0) clock.step(this.#random.below(7200) - 3600);
    const fails = this.#random.below(8) === 0;
    this.#world.meanwhile = () => (fails ? EIO() : Promise.resolve());
    if (this.#random.below(2) === 0) armFailpoint('persist.started', EIO);
    housekeeping.checkpoints.sweep();
    await housekeeping.checkpoints.settled();
    await this.#world.durable();
    disarmFailpoints();
    for (const [id, { branchCount }] of due) {
      const { warning } = await this.#world.timelines.schedule(id);
      this.tally.scheduled += branchCount - (before.get(id) ?? 0);
      assert(
        warning !== undefined || branchCount === (before.get(id) ?? 0) + 1,
        `${id} was due, and had ${branchCount} instead of one more than ${before.get(id) ?? 0}`,
      );
    }
    if (this.#random.below(2) === 0) await this.#collect();
    return `${secs} s`;
  }

  #set(): string {
    const [id, sandbox] = this.#any(({ isRunning }) => isRunning) ?? [];
    if (id === undefined || sandbox === undefined) return 'nothing';
    const number = (this.#made += 1);
    this.#world.processOf(this.#world.sandboxes.get(id)).number = number;
    sandbox.number = number;
    return `${id} has ${number}`;
  }

  async #branch(): Promise<string> {
    const [id] = this.#any(({ isRunning }) => isRunning) ?? [];
    if (id === undefined) return 'nothing';
    const tag = this.#random.pick(TAGS);
    const thinning = this.#random.pick(RULES);
    const retention = this.#random.pick([{}, { checkpoint: {} }, { checkpoint: { thinning } }]);
    const isTaken = this.#snapshots.has(tag);
    this.#world.meanwhile = () => Promise.resolve();
    const branching = this.#world.branch(this.#world.sandboxes.get(id), { tag, retention });
    if (isTaken) await assert.rejects(branching, { code: 'tag_exists' });
    else await branching;
    return `branch ${tag} of ${id}, ${JSON.stringify(retention)}: ${isTaken ? 'refused' : 'made'}`;
  }

  async #spawn(): Promise<string> {
    if (this.#sandboxes.size >= MOST_SANDBOXES) return 'nothing';
    const [tag, { number }] = this.#random.pick([...this.#snapshots]);
    this.#world.meanwhile = () => Promise.resolve();
    const name = `box-${(this.#made += 1)}`;
    const lifetime = {
      end: { atUnix: 4e9, atBootMs: 4e12, bootId: 'boot-1' },
      onEnd: this.#random.pick(['kill', 'snapshot'] as const),
    };
    const { id, record } = await this.#world.spawn(tag, {
      ...{ name, lifetime, metadata: { of: tag }, env: { NAME: name } },
      ...(this.#random.below(2) === 0 ? { network: POLICY } : {}),
    });
    const staying = stayingOf(record);
    this.#sandboxes.set(id, {
      ...{ number, isRunning: true, tag, branchCount: 0, schedule: undefined, staying },
    });
    return `${id} of ${tag}`;
  }

  async #schedule(): Promise<string> {
    const [id, sandbox] = this.#any() ?? [];
    if (id === undefined || sandbox === undefined) return 'nothing';
    const everySecs = 1 + this.#random.below(3);
    const schedule =
      this.#random.below(3) === 0 ? undefined : { everySecs, thinning: this.#random.pick(RULES) };
    await this.#world.timelines.setSchedule(id, schedule);
    sandbox.schedule = schedule;
    return `${id} has ${JSON.stringify(schedule)}`;
  }

  /** To any snapshot, or the newest checkpoint; one in two fails at some step, and one in two has something else happen at one. */
  async #rollback(): Promise<string> {
    const [id, sandbox] = this.#any() ?? [];
    if (id === undefined || sandbox === undefined) return 'nothing';
    const isUndo = this.#random.below(3) === 0;
    const asked = isUndo ? undefined : this.#random.pick([...this.#snapshots.keys()]);
    const target = asked ?? this.#timeline(id).at(-1)?.[0];
    const [before, { isRunning }] = [new Map(this.#snapshots), sandbox];
    const keep = this.#random.below(3) > 0;
    const keepTag = keep && this.#random.below(2) === 0 ? this.#random.pick(KEPT_TAGS) : undefined;
    const fault = this.#random.pick(['none', 'none', 'none', ...FAULTS] as const);
    const wasRefused = keep && isRunning && keepTag !== undefined && before.has(keepTag);
    const isReached = fault !== 'none' && (fault !== 'capture' || (keep && isRunning));
    this.#disturb({ id, target }, fault, keep && isRunning ? 2 : 1);
    const to = `${asked ?? 'the newest'}, ${keep ? (keepTag ?? 'kept') : 'nothing kept'}, fault at ${fault}`;
    try {
      const { sandbox: now, kept } = await this.#world.rollback(id, asked, keep, keepTag);
      assert(!isReached, `it works, although ${fault} fails`);
      assert.equal(now.id, id);
      const end = this.#snapshots.get(target ?? '') ?? before.get(target ?? '');
      assert(target !== undefined && end !== undefined);
      assert.equal(kept !== undefined, keep && isRunning, 'the state of before is kept');
      if (kept !== undefined) {
        const point = this.#snapshots.get(kept.tag);
        assert.deepEqual(
          [point?.number, point?.of],
          [sandbox.number, id],
          'what is kept is the state of before',
        );
      }
      Object.assign(sandbox, { tag: target, number: end.number, isRunning: true });
      this.tally.rollbacks += 1;
      return `rollback of ${id} to ${to}`;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      const { code } = error as { code?: string };
      const allowed = [
        ...(isReached ? ['EIO', 'internal', undefined] : []),
        ...(wasRefused ? ['tag_exists'] : []),
        ...(target === undefined ? ['no_checkpoint'] : []),
      ];
      assert(allowed.includes(code), `${to}: ${String(error)}`);
      // What was kept is gone again; nothing else is, but what was thinned out meanwhile.
      for (const [tag, snapshot] of this.#snapshots)
        if (snapshot !== before.get(tag) && snapshot.of === id) this.#snapshots.delete(tag);
      const newest = [...before]
        .filter(([, { of }]) => of === id)
        .sort(([, a], [, b]) => b.ordinal - a.ordinal)[0];
      if (newest !== undefined)
        assert(this.#snapshots.has(newest[0]), `the newest, ${newest[0]}, is gone: ${to}`);
      this.tally.failedRollbacks += 1;
      return `failed rollback of ${id} to ${to}: ${String(error)}`;
    } finally {
      disarmFailpoints();
    }
  }

  /** Something fails at a step of the rollback, and the collector and the schedules go on at another. */
  #disturb(rollback: RollbackUnderWay, fault: Fault | 'none', recordsWritten: number): void {
    const busyAt = this.#random.pick(STEPS);
    const secs = this.#random.below(10);
    let isOver = false;
    this.#world.meanwhile = async (step) => {
      if (step === busyAt && !isOver) {
        isOver = true;
        this.#world.clock.pass(secs);
        await this.#collect(rollback);
      }
      if (step === fault) EIO();
    };
    if (fault.includes('.')) armFailpoint(fault, EIO, fault === 'record.changed' ? recordsWritten : 1);
  }

  async #die(): Promise<string> {
    const [id, sandbox] = this.#any(({ isRunning }) => isRunning) ?? [];
    if (id === undefined || sandbox === undefined) return 'nothing';
    const found = this.#world.sandboxes.get(id);
    this.#world.processOf(found).end();
    await found.endNoted();
    sandbox.isRunning = false;
    return `the death of ${id}`;
  }

  async #end(): Promise<string> {
    const [id] = this.#any() ?? [];
    if (id === undefined || this.#random.below(2) === 0) return 'nothing';
    await this.#world.sandboxes.remove(this.#world.sandboxes.get(id));
    this.#sandboxes.delete(id);
    return `the end of ${id}`;
  }

  async #delete(): Promise<string> {
    const [tag] = this.#random.pick([...this.#snapshots]);
    if (tag === BASE) return 'nothing';
    const isUsed = this.#holders(tag).length > 0;
    const removing = this.#world.store.remove(tag, { sandboxesOf: this.#world.sandboxes.namesOf });
    if (isUsed) await assert.rejects(removing, { name: 'SnapshotInUse' });
    else {
      await removing;
      this.#snapshots.delete(tag);
    }
    return `the removal of ${tag}: ${isUsed ? 'refused' : 'done'}`;
  }

  /** Snapshots that build on it and sandboxes that stand on it, whose VMs run. */
  #holders(tag: string): string[] {
    return [
      ...[...this.#snapshots].filter(([, { parent }]) => parent === tag).map(([name]) => name),
      ...[...this.#sandboxes].filter(([, each]) => each.tag === tag && each.isRunning).map(([id]) => id),
    ];
  }

  async #restart(): Promise<string> {
    const { clock } = this.#world;
    await this.#world.restart();
    clock.pass(this.#random.below(20));
    return 'a restart';
  }

  async #collect(underWay?: RollbackUnderWay): Promise<void> {
    const before = new Map(this.#snapshots);
    const durable = await this.#world.durable();
    const report = await this.#world.housekeeping.collect({ dryRun: false });
    this.#judge(report, before, { underWay, durable });
    for (const { name } of report.removed) this.#snapshots.delete(name);
    this.tally.thinnedOut += report.removed.length;
  }

  #judge(
    { removed }: CollectionReport,
    before: ReadonlyMap<string, ModelSnapshot>,
    { underWay, durable }: { readonly underWay: RollbackUnderWay | undefined; readonly durable: Set<string> },
  ): void {
    const gone = new Set(removed.map(({ name }) => name));
    for (const { name, why } of removed) {
      const point = before.get(name);
      assert(point?.thinning !== undefined, `${name} is gone, which was to stay: ${why}`);
      const standing = [...this.#sandboxes].find(([, each]) => each.tag === name && each.isRunning);
      assert(standing === undefined, `${name} is gone, which ${standing?.[0] ?? ''} stands on`);
    }
    for (const id of new Set([...before.values()].flatMap(({ of }) => of ?? []))) {
      const line = this.#timeline(id);
      const thinned = line.filter(([, { thinning }]) => thinning !== undefined);
      const [newest, last] = [line.at(-1), thinned.at(-1)];
      if (newest === undefined || last?.[1].thinning === undefined) continue;
      const isThere = this.#sandboxes.has(id);
      if (isThere) assert(!gone.has(newest[0]), `the newest of ${id}, ${newest[0]}, is gone`);
      const safe = thinned.findLast(([tag]) => durable.has(tag));
      if (isThere) assert(!gone.has(safe?.[0] ?? ''), `after a power loss ${id} has nothing to go back to`);
      const points = thinned.map(([tag, { atBootMs, atUnixMs }]) => ({
        ...{ tag, atUnixMs, ageMs: this.#world.clock.bootMs() - atBootMs },
        isNeeded:
          id === underWay?.id ||
          tag === underWay?.target ||
          (isThere && (tag === last[0] || tag === safe?.[0])) ||
          this.#holders(tag).length > 0,
      }));
      assertThinned(points, last[1].thinning, gone);
    }
  }

  async #compare(): Promise<void> {
    const world = this.#world;
    const listed = world.store.list().map(({ tag, status }) => `${tag} ${status}`);
    assert.deepEqual(listed.sort(), [...this.#snapshots.keys()].map((tag) => `${tag} ready`).sort());
    const ids = world.sandboxes.list().map(({ id }) => id);
    assert.deepEqual(ids.sort(), [...this.#sandboxes.keys()].sort());
    const names: string[] = [];
    for (const [id, { number, isRunning, tag, branchCount, schedule, staying }] of this.#sandboxes) {
      const sandbox = world.sandboxes.get(staying.name ?? '');
      names.push(sandbox.paths.id);
      for (const record of [sandbox.record, await readRecord(sandbox.paths.record)]) {
        assert.deepEqual(stayingOf({ ...record }), staying);
        assert.deepEqual(record.checkpoints, schedule);
        assert.deepEqual([record.snapshotTag, record.branchCount], [tag, branchCount], id);
      }
      assert.deepEqual([sandbox.id, sandbox.state], [id, isRunning ? 'running' : 'failed']);
      assert(!isRunning || sandbox.takes('use'), `${id} lets nobody in`);
      if (isRunning) assert.equal(world.processOf(sandbox).number, number, id);
      const points = await world.timelines.list(id);
      const expected = this.#timeline(id).map(([name, { thinning }]) => [
        name,
        thinning !== undefined,
        name === tag,
      ]);
      assert.deepEqual(
        points.map(({ snapshot, isThinnedOut, isOrigin }) => [snapshot.tag, isThinnedOut, isOrigin]),
        expected,
      );
    }
    const running = [...this.#sandboxes.values()].filter(({ isRunning }) => isRunning);
    assert.deepEqual(world.running.sort(), running.map(({ number }) => number).sort(), 'VMs');
    for (const found of await world.folders()) assert.deepEqual(found, [...names].sort());
    const [tag, { number }] = this.#random.pick([...this.#snapshots]);
    assert.equal(await world.holds(tag), number, tag);
  }
}
