/** What every benchmark is given, and the few calls they share. */
import { randomBytes } from 'node:crypto';
import { messageOf, monotonicMs, sleep } from '../base/index.js';
import type { BranchMode, Sandbox, Snapshot } from '../contract/index.js';
import { BoughApiError, type Bough } from '../sdk/index.js';
import type { WantedAccelerator } from '../vmm/index.js';
import type { PauseParts } from './pause-row.js';

export interface BenchContext {
  readonly client: Bough;
  /** The daemon's process, where it is ours to look at. */
  readonly daemonPid: number | undefined;
  /** What the daemon told of the pause of a branch; nothing where it is not ours. */
  readonly pauseParts: (tag: string) => PauseParts | undefined;
  readonly cacheDir: string;
  readonly qemuPath: string | undefined;
  readonly accelerator: WantedAccelerator | undefined;
  /** Tag of the snapshot every source starts from; it exists. */
  readonly sourceTag: string;
  /** Name of the image it was made of. */
  readonly image: string;
  readonly iterations: number;
  /** Keeps a writer busy in the guest; 0 is an idle guest. */
  readonly dirtyMiBPerSecond: number;
  readonly signal: AbortSignal;
  /** Words for whoever waits. */
  readonly say: (words: string) => void;
}

const READY_POLL_MS = 5;
const READY_DEADLINE_MS = 60_000;
const DURABLE_POLL_MS = 25;
const DURABLE_DEADLINE_MS = 60_000;
/** A fresh sandbox is left alone this long: its first seconds are not those of an idle guest. */
const SETTLE_MS = 2_000;

/** A tag nobody else uses. */
export function freshTag(): string {
  return `bench-${randomBytes(6).toString('hex')}`;
}

/** Starts one sandbox of `tag`, lets it settle, runs `work`, and removes the sandbox whatever happens. */
export async function withSandbox<T>(
  { client, signal }: BenchContext,
  tag: string,
  work: (sandbox: Sandbox) => Promise<T>,
): Promise<T> {
  // Without the signal: who does not wait for the answer does not know what there is to remove.
  const [sandbox] = await client.sandboxes.spawn({ snapshot_tag: tag });
  if (sandbox === undefined) throw new Error('The daemon answered a spawn with no sandbox');
  try {
    await sleep(SETTLE_MS, signal);
    return await work(sandbox);
  } finally {
    await client.sandboxes.delete(sandbox.id);
  }
}

/** A branch as its caller saw it. Times in ms. */
export interface MeasuredBranch {
  readonly snapshot: Snapshot;
  readonly pauseMs: number;
  readonly httpRoundTripMs: number;
  /** From the answer until the snapshot was seen ready; 0 when the answer said so. */
  readonly pollUntilReadyMs: number;
  /** From the request until the snapshot was seen ready. */
  readonly completionMs: number;
}

/** Branches and waits until the snapshot is ready. The snapshot is the caller's to delete. */
export async function measureBranch(
  { client, signal }: BenchContext,
  sandboxId: string,
  { mode, wait, tag = freshTag() }: { mode: BranchMode; wait: boolean; tag?: string },
): Promise<MeasuredBranch> {
  const began = monotonicMs();
  const answer = await client.sandboxes.branch(sandboxId, { tag, mode, wait }, { signal });
  const answered = monotonicMs();
  const snapshot = answer.status === 'writing' ? await untilReady(client, tag, signal) : answer;
  const ready = monotonicMs();
  if (snapshot.status !== 'ready')
    throw new Error(`Snapshot ${tag} failed: ${snapshot.warning ?? 'no reason given'}`);
  return {
    snapshot,
    pauseMs: snapshot.pause_ms ?? answer.pause_ms ?? Infinity,
    httpRoundTripMs: answered - began,
    pollUntilReadyMs: answer.status === 'writing' ? ready - answered : 0,
    completionMs: ready - began,
  };
}

async function untilReady(client: Bough, tag: string, signal: AbortSignal): Promise<Snapshot> {
  return poll(READY_POLL_MS, READY_DEADLINE_MS, signal, async () => {
    const snapshot = await client.snapshots.get(tag, { signal });
    return snapshot.status === 'writing' ? undefined : snapshot;
  });
}

/** Resolves with the snapshot once it would survive power loss. */
export async function untilDurable({ client, signal }: BenchContext, tag: string): Promise<Snapshot> {
  return poll(DURABLE_POLL_MS, DURABLE_DEADLINE_MS, signal, async () => {
    const snapshot = await client.snapshots.get(tag, { signal });
    return snapshot.durable === true ? snapshot : undefined;
  });
}

/** Deletes a snapshot if there is one of that tag. */
export async function discard({ client }: BenchContext, tag: string): Promise<void> {
  try {
    await client.snapshots.delete(tag);
  } catch (error) {
    if (!(error instanceof BoughApiError && error.code === 'snapshot_not_found')) throw error;
  }
}

/**
 * Asks every `intervalMs` until there is an answer; rejects after `deadlineMs` or with the signal's reason.
 */
export async function poll<T>(
  intervalMs: number,
  deadlineMs: number,
  signal: AbortSignal,
  ask: () => Promise<T | undefined>,
): Promise<T> {
  const deadline = monotonicMs() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (monotonicMs() > deadline)
      throw new Error(`What was waited for did not happen within ${deadlineMs} ms`);
    await sleep(intervalMs, signal);
  }
}

/** A failure in few words, for a row. */
export function failureWords(error: unknown): string {
  return messageOf(error).replace(/\s+/g, ' ').slice(0, 200);
}
