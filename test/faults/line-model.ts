/**
 * The line of one sandbox next to a model of it: branches that go on from each other or fail, merges by a real store meanwhile that take long or
 * fail, and lines that end. The guest is whatever can be written to and captured.
 *
 * At every branch the line holds what the one before has captured, each branch of it once, and nothing of it changes while the branch is under way;
 * every snapshot is the memory that it is of, when it is made and for as long as it is kept.
 */
import assert from 'node:assert/strict';
import { link, mkdir, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { armFailpoint, Deferred, disarmFailpoints, WorkSet } from '../../src/base/index.js';
import type { PagerCapture, PagerPause } from '../../src/pager/index.js';
import {
  breakLine,
  endLine,
  extendedLine,
  lineOn,
  makeRoomInLine,
  mergeIfLong,
  replaceLine,
} from '../../src/sandbox/branch/line.js';
import { layersBelow, type LayersBelow } from '../../src/sandbox/branch/lineage.js';
import { layersDir } from '../../src/sandbox/entity/own-layers.js';
import { sandboxPaths } from '../../src/sandbox/entity/paths.js';
import type { Line, SandboxRecord } from '../../src/sandbox/entity/record.js';
import type { Sandbox } from '../../src/sandbox/entity/sandbox.js';
import type { HostContext } from '../../src/sandbox/host/context.js';
import type { LayerRef, Store } from '../../src/store/index.js';
import { readMemory } from '../support/store-fixture.js';
import type { Seeded } from './seeded.js';

/** Snapshots that are kept at once. */
const KEPT = 3;

/** A branch that was to fail has failed. */
export class CaptureFailed extends Error {}

/** Where a capture goes, what it is called, and what it may stand on. */
export interface CaptureRequest {
  readonly draft: { readonly id: string; readonly memoryPath: string };
  readonly line: Line | undefined;
  readonly below: LayersBelow;
}

export interface LineGuest {
  readonly ramBytes: number;
  write(): Promise<void>;
  /** Captures what was written since the branch that the line is of, or everything. Throws CaptureFailed. */
  capture(
    request: CaptureRequest,
  ): Promise<Pick<PagerCapture, 'runs' | 'wentOn'> & Pick<PagerPause, 'passes'>>;
  /** What memory was at the latest capture. */
  captured(): Promise<Buffer>;
}

export interface KeptSnapshot {
  readonly layers: readonly LayerRef[];
  readonly memory: Buffer;
}

type ModelSandbox = Sandbox & { isBranching: boolean; branchOver: Promise<undefined> };

export class LineModel {
  readonly #random: Seeded;
  readonly #context: HostContext;
  readonly #hotDir: string;
  readonly #folder: string;
  readonly #sandbox: ModelSandbox;
  readonly #guest: LineGuest;
  /** The latest last. */
  readonly #kept: KeptSnapshot[] = [];
  #captured: Buffer | undefined;
  /** The branches that the latest goes on from, and itself; and of a merged layer, those that it holds. */
  #branches: readonly string[] = [];
  readonly #held = new Map<string, readonly string[]>();
  /** What came of the branches. */
  readonly tally = { made: 0, failed: 0, wentOn: 0, onMerged: 0, longest: 0 };

  /** `mapped` are the layers that the guest was started on. */
  constructor(
    store: Store,
    hotDir: string,
    random: Seeded,
    guest: LineGuest,
    mapped: readonly LayerRef[] = [],
  ) {
    this.#random = random;
    this.#guest = guest;
    this.#hotDir = hotDir;
    const mergeLayers: Store['mergeLayers'] = async (layers, folder, isAwaited) => {
      const merged = await store.mergeLayers(layers, folder, isAwaited);
      this.#held.set(merged.id, this.#branchesIn(layers));
      return merged;
    };
    this.#context = { store: { mergeLayers }, emit: () => undefined } as unknown as HostContext;
    const paths = sandboxPaths({ hotDir, stateDir: hotDir }, 'sb');
    this.#folder = layersDir(paths);
    const sandbox = {
      ...{ id: 'sb', vm: {}, paths, isBranching: false, branchOver: Promise.resolve(undefined) },
      ...{ merges: new WorkSet(), takes: () => true },
      record: { layers: mapped } as unknown as SandboxRecord,
      update(changes: Partial<SandboxRecord>) {
        this.record = { ...this.record, ...changes };
        return Promise.resolve();
      },
    };
    this.#sandbox = sandbox as unknown as ModelSandbox;
  }

  /** Of those that are kept one may be the ground of another guest. */
  get latest(): KeptSnapshot | undefined {
    return this.#kept.at(-1);
  }

  async run(steps: number): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    for (let step = 0; step < steps; step++) {
      const chance = this.#random.below(20);
      if (chance === 0) await endLine(this.#sandbox);
      if (chance < 8) this.#disturbMerge();
      await this.#guest.write();
      await this.#turns();
      await this.#branch();
      await this.#turns();
    }
    disarmFailpoints();
    await this.#sandbox.merges.settled();
    const { line } = this.#sandbox.record;
    if (line !== undefined) await this.#checkLine(line, 'at the end');
    for (const snapshot of this.#kept) await this.#checkSnapshot(snapshot);
    const files = line?.layers.map(({ path }) => basename(path)) ?? [];
    assert.deepEqual((await readdir(this.#folder)).sort(), files.sort());
  }

  /** The next merge takes a while at one of its steps, or fails there. */
  #disturbMerge(): void {
    const fails = this.#random.below(5) === 0;
    armFailpoint(this.#random.pick(['merge.written', 'line.merged']), async () => {
      for (let turns = this.#random.below(200); turns > 0; turns--) await setImmediate();
      if (fails) throw Object.assign(new Error('EIO'), { code: 'EIO' });
    });
  }

  async #turns(): Promise<void> {
    for (let turns = this.#random.below(20); turns > 0; turns--) await setImmediate();
  }

  /** As a branch of the host does it; what that stands on stays as it is meanwhile. */
  async #branch(): Promise<void> {
    const sandbox = this.#sandbox;
    await makeRoomInLine(this.#context, sandbox);
    const over = new Deferred<undefined>();
    Object.assign(sandbox, { isBranching: true, branchOver: over.promise });
    const { line } = sandbox.record;
    await this.#turns();
    if (line !== undefined) await this.#checkLine(line, 'beneath a branch');
    assert.equal(sandbox.record.line, line);
    const id = `branch${this.tally.made + this.tally.failed}`;
    const draft = { id, memoryPath: join(this.#hotDir, `${id}.bin`) };
    try {
      await this.#capture(draft);
      this.tally.made += 1;
    } catch (error) {
      if (!(error instanceof CaptureFailed)) throw error;
      await breakLine(sandbox, draft);
      this.tally.failed += 1;
    } finally {
      await rm(draft.memoryPath, { force: true });
    }
    sandbox.isBranching = false;
    over.resolve(undefined);
    mergeIfLong(this.#context, sandbox);
  }

  async #capture(draft: CaptureRequest['draft']): Promise<void> {
    const sandbox = this.#sandbox;
    const { record } = sandbox;
    const below = layersBelow(record.layers, 'live');
    const line = lineOn(record, below);
    const { passes, ...capture } = await this.#guest.capture({ draft, line, below });
    const logicalBytes = this.#guest.ramBytes;
    const facts = { draft, pause: { passes }, capture, below, logicalBytes };
    const longer = await extendedLine(this.#context, sandbox, facts);
    this.#captured = await this.#guest.captured();
    const own = capture.wentOn ? (line?.layers ?? []) : [];
    const layer = { id: draft.id, path: draft.memoryPath, runs: capture.runs, logicalBytes };
    await this.#keep([...below.layers, ...own, layer], this.#captured);
    this.#branches = [...(capture.wentOn ? this.#branches : []), draft.id];
    await replaceLine(sandbox, longer);
    this.tally.longest = Math.max(this.tally.longest, longer?.layers.length ?? 0);
    this.tally.wentOn += Number(capture.wentOn);
    this.tally.onMerged += Number(own.some(({ id }) => !id.startsWith('branch')));
  }

  async #checkLine({ layers, below }: Line, when: string): Promise<void> {
    const memory = await readMemory({ layers: [...this.#sandbox.record.layers.slice(0, below), ...layers] });
    assert(this.#captured !== undefined && memory.equals(this.#captured), `the line differs ${when}`);
    assert.deepEqual(this.#branchesIn(layers), this.#branches, 'each branch is there once, in order');
  }

  #branchesIn(layers: readonly LayerRef[]): string[] {
    return layers.flatMap(({ id }) => this.#held.get(id) ?? [id]);
  }

  /** With links of its own, as any snapshot; that of the oldest are looked at once more, and go. */
  async #keep(layers: readonly LayerRef[], memory: Buffer): Promise<void> {
    const folder = join(this.#hotDir, `kept-${this.tally.made}`);
    await mkdir(folder);
    const linked: LayerRef[] = [];
    for (const [at, layer] of layers.entries()) {
      const path = join(folder, `${at}.bin`);
      await link(layer.path, path);
      linked.push({ ...layer, path });
    }
    const snapshot = { layers: linked, memory };
    await this.#checkSnapshot(snapshot);
    this.#kept.push(snapshot);
    const [oldest] = this.#kept;
    if (oldest === undefined || this.#kept.length <= KEPT) return;
    await this.#checkSnapshot(oldest);
    this.#kept.shift();
    for (const { path } of oldest.layers) await rm(path);
  }

  async #checkSnapshot({ layers, memory }: KeptSnapshot): Promise<void> {
    assert((await readMemory({ layers })).equals(memory), `the snapshot ${layers.at(-1)?.id ?? ''} differs`);
  }
}
