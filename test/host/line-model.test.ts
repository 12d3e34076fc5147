/** Lines whose layers are merged by a real store while branches go on, and all that a line holds next to a model of it. */
import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { armFailpoint, Deferred, disarmFailpoints, WorkSet } from '../../src/base/index.js';
import {
  endLine,
  LINE_HARD_LIMIT,
  makeRoomInLine,
  mergeIfLong,
  replaceLine,
} from '../../src/sandbox/branch/line.js';
import { layersDir } from '../../src/sandbox/entity/own-layers.js';
import { sandboxPaths } from '../../src/sandbox/entity/paths.js';
import type { SandboxRecord } from '../../src/sandbox/entity/record.js';
import type { Sandbox } from '../../src/sandbox/entity/sandbox.js';
import type { HostContext } from '../../src/sandbox/host/context.js';
import type { Store } from '../../src/store/index.js';
import { Seeded } from '../faults/seeded.js';
import { makeFixture, memoryOf, RAM_BYTES, readMemory, writePages } from '../support/store-fixture.js';

const LINES = 12;
const STEPS = 60;
const PAGES = 64;

type ModelSandbox = Sandbox & { isBranching: boolean; branchOver: Promise<undefined> };

class LineModel {
  readonly #random: Seeded;
  readonly #context: HostContext;
  readonly #folder: string;
  readonly #sandbox: ModelSandbox;
  /** What the guest has, and which pages it has written since the latest branch. */
  readonly #memory: Record<number, number> = {};
  #written = new Set<number>();
  #captured: Buffer = Buffer.alloc(0);
  #made = 0;
  /** Branches that stood on merged layers, and the longest line. */
  merges = 0;
  longest = 0;

  constructor(store: Store, hotDir: string, random: Seeded) {
    this.#random = random;
    this.#context = { store, emit: () => undefined } as unknown as HostContext;
    const paths = sandboxPaths({ hotDir, stateDir: hotDir }, `sb${random.seed}`);
    this.#folder = layersDir(paths);
    const sandbox = {
      ...{ id: 'sb', vm: {}, paths, isBranching: false, branchOver: Promise.resolve(undefined) },
      ...{ merges: new WorkSet(), takes: () => true },
      record: { layers: [] } as unknown as SandboxRecord,
      update(changes: Partial<SandboxRecord>) {
        this.record = { ...this.record, ...changes };
        return Promise.resolve();
      },
    };
    this.#sandbox = sandbox as unknown as ModelSandbox;
  }

  async run(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    for (let step = 0; step < STEPS; step++) {
      const chance = this.#random.below(20);
      if (chance === 0) await endLine(this.#sandbox);
      if (chance < 8) this.#disturbMerge();
      this.#write();
      await this.#turns();
      await this.#branch();
      await this.#turns();
    }
    disarmFailpoints();
    await this.#sandbox.merges.settled();
    const { line } = this.#sandbox.record;
    if (line !== undefined) assert((await readMemory(line)).equals(this.#captured));
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

  #write(): void {
    for (let count = 1 + this.#random.below(8); count > 0; count--) {
      const page = this.#random.below(PAGES);
      this.#memory[page] = 1 + this.#random.below(255);
      this.#written.add(page);
    }
  }

  async #turns(): Promise<void> {
    for (let turns = this.#random.below(20); turns > 0; turns--) await setImmediate();
  }

  /** Captures what was written, or everything where there is no line; what it stands on stays as it is meanwhile. */
  async #branch(): Promise<void> {
    const sandbox = this.#sandbox;
    await makeRoomInLine(this.#context, sandbox);
    const over = new Deferred<undefined>();
    Object.assign(sandbox, { isBranching: true, branchOver: over.promise });
    const { line } = sandbox.record;
    await this.#turns();
    if (line !== undefined) assert((await readMemory(line)).equals(this.#captured), 'beneath a branch');
    assert.equal(sandbox.record.line, line);
    const pages = Object.entries(this.#memory).filter(
      ([page]) => line === undefined || this.#written.has(Number(page)),
    );
    const id = `branch${(this.#made += 1)}`;
    const path = join(this.#folder, `${id}.bin`);
    const runs = (await writePages(path, Object.fromEntries(pages))) as [number, number][];
    const layers = [...(line?.layers ?? []), { id, path, runs, logicalBytes: RAM_BYTES }];
    await replaceLine(sandbox, { since: id, below: 0, layers });
    this.#captured = memoryOf(this.#memory);
    this.#written = new Set();
    this.longest = Math.max(this.longest, layers.length);
    if (line?.layers.some((layer) => !layer.id.startsWith('branch')) === true) this.merges += 1;
    sandbox.isBranching = false;
    over.resolve(undefined);
    mergeIfLong(this.#context, sandbox);
  }
}

describe('a line that is merged while it is branched', () => {
  afterEach(disarmFailpoints);

  it('holds at every branch what the one before has captured, whatever comes between', async (t) => {
    const fixture = await makeFixture(t);
    const store = await fixture.reopen();
    const first = Seeded.fromEnvironment();
    let [merges, longest] = [0, 0];
    for (let line = 0; line < LINES; line++) {
      const model = new LineModel(store, fixture.hotDir, new Seeded(first.seed + line));
      await model.run().catch((cause: unknown) => {
        throw new Error(`BOUGH_SEED=${first.seed + line}`, { cause });
      });
      merges += model.merges;
      longest = Math.max(longest, model.longest);
    }
    assert(
      merges > 0 && longest <= LINE_HARD_LIMIT,
      `${merges} branches stood on merged layers, ${longest} the longest line`,
    );
    console.log(
      `# ${LINES} lines of ${STEPS} branches, ${merges} on merged layers; ${longest} the longest; ${first.name}`,
    );
  });
});
