/** Guests for `LineModel`: a table of pages, and a fake VMM with the real pager in it. */
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compact } from '../../src/base/index.js';
import { PagerClient, PagerError } from '../../src/pager/index.js';
import { pagerLine } from '../../src/sandbox/branch/line.js';
import { SERVED_RAM_BYTES, ServedVmm } from '../support/served-vmm.js';
import { memoryOf, RAM_BYTES, writePages } from '../support/store-fixture.js';
import { CaptureFailed, type CaptureRequest, type KeptSnapshot, type LineGuest } from './line-model.js';
import type { Seeded } from './seeded.js';

const PAGES = 64;
const DEADLINE_MS = 20_000;
/** One branch of so many fails, and as many are made of which the daemon does not know. */
const FAILS_ONE_IN = 12;

type Captured = Awaited<ReturnType<LineGuest['capture']>>;

/** What was written is known, and a capture writes just that. */
export class TableGuest implements LineGuest {
  readonly ramBytes = RAM_BYTES;
  readonly #random: Seeded;
  readonly #memory: Record<number, number> = {};
  #written = new Set<number>();

  constructor(random: Seeded) {
    this.#random = random;
  }

  write(): Promise<void> {
    for (let count = 1 + this.#random.below(8); count > 0; count--) {
      const page = this.#random.below(PAGES);
      this.#memory[page] = 1 + this.#random.below(255);
      this.#written.add(page);
    }
    return Promise.resolve();
  }

  async capture({ draft, line }: CaptureRequest): Promise<Captured> {
    if (this.#random.below(FAILS_ONE_IN) === 0) throw new CaptureFailed();
    const pages = Object.entries(this.#memory).filter(
      ([page]) => line === undefined || this.#written.has(Number(page)),
    );
    const runs = await writePages(draft.memoryPath, Object.fromEntries(pages));
    this.#written = new Set();
    return { runs, wentOn: line !== undefined, passes: 1 };
  }

  captured(): Promise<Buffer> {
    return Promise.resolve(memoryOf(this.#memory));
  }
}

/** Threads write to its memory all the time, and the real pager finds out what. */
export class ServedGuest implements LineGuest {
  readonly ramBytes = SERVED_RAM_BYTES;
  readonly #random: Seeded;
  readonly #vmm: ServedVmm;
  readonly #client: PagerClient;
  readonly #tracks: boolean;
  /** By the latest branch: the pager knows that of the line. */
  #isKnown = false;
  #made = 0;

  private constructor(random: Seeded, vmm: ServedVmm, client: PagerClient, tracks: boolean) {
    this.#random = random;
    this.#vmm = vmm;
    this.#client = client;
    this.#tracks = tracks;
  }

  /** A child of the snapshot, if there is one. `dir` is for a file while it starts. */
  static async start(dir: string, random: Seeded, snapshot: KeptSnapshot | undefined): Promise<ServedGuest> {
    const belowPath = join(dir, 'below');
    if (snapshot !== undefined) await writeFile(belowPath, snapshot.memory);
    const seed = random.below(2 ** 31);
    const vmm = await ServedVmm.start({ seed, ...(snapshot === undefined ? {} : { belowPath }) });
    try {
      await rm(belowPath, { force: true });
      const client = await PagerClient.connect(vmm.socketPath);
      const { tracking } = await client.hello();
      await client.map(join(vmm.dir, 'marker'), snapshot?.layers.map(({ path }) => path) ?? []);
      await vmm.run();
      return new ServedGuest(random, vmm, client, tracking === 'async');
    } catch (error) {
      await vmm.close();
      throw error;
    }
  }

  write(): Promise<void> {
    return this.#vmm.write();
  }

  async capture(request: CaptureRequest): Promise<Captured> {
    const chance = this.#random.below(FAILS_ONE_IN);
    if (chance === 0) await this.#fail(request);
    if (chance === 1) await this.#captureAside();
    const { line } = request;
    const { pause, capture } = await this.#capture(request, this.#statePath());
    assert.equal(capture.wentOn, line !== undefined && this.#isKnown, 'whether it goes on');
    this.#isKnown = this.#tracks;
    return { ...capture, passes: pause.passes };
  }

  captured(): Promise<Buffer> {
    return this.#vmm.stoppedMemory();
  }

  async close(): Promise<void> {
    await this.#client.close();
    await this.#vmm.close();
  }

  #statePath(): string {
    return join(this.#vmm.dir, `state-${(this.#made += 1)}`);
  }

  /** Before anything is armed, or long after. */
  async #fail(request: CaptureRequest): Promise<never> {
    const how = this.#random.pick(['failsFirst', 'failsLast', 'closes', 'no folder'] as const);
    if (how !== 'no folder') await this.#vmm.behave(how);
    const statePath = how === 'no folder' ? join(this.#vmm.dir, 'none', 'state') : this.#statePath();
    this.#isKnown = false;
    await assert.rejects(this.#capture(request, statePath), PagerError, how);
    await this.#vmm.behave('fine');
    throw new CaptureFailed();
  }

  /** One that the line knows nothing of. */
  async #captureAside(): Promise<void> {
    const how = this.#random.pick(['live', 'sync', 'diff', 'full'] as const);
    const layerPath = join(this.#vmm.dir, 'aside');
    await this.#client.branch({
      ...{ mode: how === 'sync' ? 'live' : how, layerPath, statePath: this.#statePath() },
      ...{ deadlineMs: DEADLINE_MS, name: 'aside' },
      ...(how === 'sync' ? { tracking: how } : {}),
    }).done;
    await rm(layerPath);
    this.#isKnown = false;
  }

  async #capture({ draft, line, below }: CaptureRequest, statePath: string) {
    const { running, done } = this.#client.branch({
      ...{ mode: 'live', layerPath: draft.memoryPath, statePath, deadlineMs: DEADLINE_MS, name: draft.id },
      ...compact({ foldFrom: below.foldFrom, goesOn: line && pagerLine(line) }),
    });
    const [pause, capture] = await Promise.all([running, done]);
    await rm(statePath);
    return { pause, capture };
  }
}
