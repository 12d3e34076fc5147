/** A store in temporary folders, and captures that write what a pager would. */
import assert from 'node:assert/strict';
import { readSync } from 'node:fs';
import { mkdtemp, open, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  openStore,
  type Ancestry,
  type Draft,
  type DraftRequest,
  type LinkedSnapshot,
  type PublishFields,
  type Run,
  type SnapshotView,
  type Store,
  type StoreOptions,
} from '../../src/store/index.js';

export const PAGE = 4096;
export const RAM_BYTES = 64 * PAGE;

/** Pages by index; each is filled with one byte value. */
export type Pages = Readonly<Record<number, number>>;

/** Folders that are removed after the test; stores opened in them are closed before. */
export interface Fixture {
  readonly stateDir: string;
  readonly hotDir: string;
  /** Opens the store; an earlier one is closed first, as if the daemon had been restarted. */
  reopen(options?: Partial<StoreOptions>): Promise<Store>;
  /** What was logged, as event names. */
  readonly events: string[];
}

export async function makeFixture(t: TestContext): Promise<Fixture> {
  const stateDir = await mkdtemp(join(tmpdir(), 'bough-store-'));
  const hotDir = await mkdtemp('/dev/shm/bough-store-');
  const events: string[] = [];
  let current: Store | undefined;
  t.after(async () => {
    await current?.close();
    for (const folder of [stateDir, hotDir]) await rm(folder, { recursive: true, force: true });
  });
  return {
    stateDir,
    hotDir,
    events,
    async reopen(options = {}) {
      await current?.close();
      current = await openStore({ stateDir, hotDir, emit: (event) => events.push(event), ...options });
      return current;
    },
  };
}

/** Writes a sparse layer file and returns its runs. */
export async function writePages(path: string, pages: Pages): Promise<Run[]> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.truncate(RAM_BYTES);
    for (const [index, value] of Object.entries(pages)) {
      await file.write(Buffer.alloc(PAGE, value), 0, PAGE, Number(index) * PAGE);
    }
  } finally {
    await file.close();
  }
  return Object.keys(pages)
    .map(Number)
    .sort((a, b) => a - b)
    .map((index) => [index * PAGE, PAGE]);
}

export interface Capture extends Partial<DraftRequest> {
  readonly tag: string;
  readonly pages?: Pages;
  readonly on?: Ancestry;
  readonly tail?: string;
  readonly vmstate?: string;
}

/** A draft with everything written that `publish` needs. */
export async function capture(
  store: Store,
  { pages = { 0: 1 }, on, tail, vmstate = 'devices', ...request }: Capture,
): Promise<{ draft: Draft; fields: PublishFields }> {
  const draft = await store.draft({ mode: 'live', ...request });
  if (on !== undefined) await draft.addAncestry(on);
  const runs = await writePages(draft.memoryPath, pages);
  await writeFile(draft.vmstatePath, vmstate);
  if (tail !== undefined) await writeFile(draft.tail.path, tail);
  const fields: PublishFields = {
    memory: { runs, logicalBytes: RAM_BYTES },
    hasTail: tail !== undefined,
    pauseMs: 1.5,
    machine: {
      qemuVersion: '7.2.22',
      machineType: 'pc-i440fx-7.2',
      accel: 'tcg',
      cpuModel: 'max',
      vcpus: 1,
      memoryMiB: 1,
      deviceLayout: 1,
    },
    image: { name: 'python', digest: 'sha256:0' },
    agent: { secret: 'secret', guestPort: 7000 },
  };
  return { draft, fields };
}

export async function snapshot(store: Store, request: Capture): Promise<SnapshotView> {
  const { draft, fields } = await capture(store, request);
  return draft.publish(fields);
}

/** Writes a disk file where an image or a sandbox would have it. */
export async function writeDisk(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

/** What a child of `tag` would have: links of its own in both tiers. */
export async function linkAsSandbox(
  fixture: Fixture,
  store: Store,
  tag: string,
  id: string,
): Promise<LinkedSnapshot> {
  using lease = await store.acquire(tag, `sandbox ${id}`);
  return await lease.linkInto(join(fixture.hotDir, 'sandboxes', id), join(fixture.stateDir, 'sandboxes', id));
}

/** The RAM a child would see: the stack of layers over zeros, runs only. */
export async function readMemory(ancestry: Pick<Ancestry, 'layers'>): Promise<Buffer> {
  const memory = Buffer.alloc(ancestry.layers[0]?.logicalBytes ?? RAM_BYTES);
  for (const { path, runs } of ancestry.layers) {
    const file = await open(path);
    try {
      for (const [offset, length] of runs)
        assert.equal(readSync(file.fd, memory, offset, length, offset), length);
    } finally {
      await file.close();
    }
  }
  return memory;
}

/** RAM with these pages. */
export function memoryOf(pages: Pages): Buffer {
  const memory = Buffer.alloc(RAM_BYTES);
  for (const [index, value] of Object.entries(pages))
    memory.fill(value, Number(index) * PAGE, Number(index) * PAGE + PAGE);
  return memory;
}

/** Flips one bit of a file. */
export async function flipByte(path: string, offset: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 1;
  const file = await open(path, 'r+');
  try {
    await file.write(bytes, offset, 1, offset);
  } finally {
    await file.close();
  }
}
