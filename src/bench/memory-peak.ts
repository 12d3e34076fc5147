/** The most memory of a process while something runs; of one that is not ours to look at, nothing is known. */
import { sleep } from '../base/index.js';
import { processMemory } from './process-memory.js';

const SAMPLE_MS = 100;

export interface PeakOf<T> {
  readonly result: T;
  readonly peakBytes: number | undefined;
}

export async function withPeak<T>(pid: number | undefined, work: () => Promise<T>): Promise<PeakOf<T>> {
  if (pid === undefined) return { result: await work(), peakBytes: undefined };
  const done = new AbortController();
  let peakBytes = (await processMemory(pid)).pssBytes;
  const sampling = sample(done.signal, async () => {
    peakBytes = Math.max(peakBytes, (await processMemory(pid)).pssBytes);
  });
  try {
    return { result: await work(), peakBytes };
  } finally {
    done.abort();
    await sampling;
  }
}

async function sample(signal: AbortSignal, look: () => Promise<void>): Promise<void> {
  try {
    for (;;) {
      await sleep(SAMPLE_MS, signal);
      await look();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
