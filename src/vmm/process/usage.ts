/**
 * What a process uses, as the kernel counts it (proc(5)).
 *
 * Anonymous memory is counted without a look at any page. A proportional share takes a walk over all page tables, in which nothing is
 * stopped: some milliseconds for a gigabyte.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fieldsAfterName } from './process-identity.js';

/** What the kernel's clock ticks are for user space, on every architecture QEMU is built for here. */
const TICKS_PER_SEC = 100;

export interface ProcessUsage {
  /** In its own code and in the kernel's, a guest's included. */
  readonly cpuTimeMs: number;
  /** Nobody else's, in memory or swapped out. */
  readonly anonymousBytes: number;
  /** Of files and shared memory. */
  readonly fileBytes: number;
  readonly proportionalBytes: number;
}

export async function processUsage(pid: number): Promise<ProcessUsage> {
  const [stat, status, rollup] = await Promise.all(
    ['stat', 'status', 'smaps_rollup'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8')),
  );
  const [utime = 0, stime = 0] = fieldsAfterName(stat ?? '')
    .slice(11, 13)
    .map(Number);
  // Given to the kernel, which takes it when memory is short: nobody is without it.
  const freeBytes = bytesOf(rollup ?? '', 'LazyFree');
  return {
    cpuTimeMs: ((utime + stime) * 1000) / TICKS_PER_SEC,
    anonymousBytes: anonymousIn(status ?? '') - freeBytes,
    fileBytes: bytesOf(status ?? '', 'RssFile') + bytesOf(status ?? '', 'RssShmem'),
    proportionalBytes: bytesOf(rollup ?? '', 'Pss') - freeBytes,
  };
}

/** Bytes of anonymous memory, in memory or swapped out. */
export function processAnonymousBytes(pid: number): number {
  return anonymousIn(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

const anonymousIn = (status: string): number => bytesOf(status, 'RssAnon') + bytesOf(status, 'VmSwap');

function bytesOf(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
}
