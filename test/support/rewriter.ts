/**
 * A program in a guest that writes to every page of a lot of memory without end, faster than any copy: the
 * source of residues too large for a pause. Before each write it checks that the word holds what was last
 * written there, so that a page of another instant is found within two passes.
 */
import { sleep } from '../../src/base/index.js';
import type { Guest } from './guest.js';

const PROGRAM = `
import os, sys
import numpy as np
memory = np.zeros((int(sys.argv[1]), 256, 512), np.uint64)
wrong = np.empty(256, bool)
passes = errors = 0
while True:
    passes += 1
    for words in memory[:, :, passes % 2 * 300]:
        np.not_equal(words, max(passes - 2, 0), out=wrong)
        errors += int(wrong.sum())
        words.fill(passes)
    with open('/run/rewriter.new', 'w') as out:
        out.write(f'{passes} {errors}')
    os.replace('/run/rewriter.new', '/run/rewriter')
`;

const POLL_MS = 100;
const POLLS = 600;

/** Starts it over `memoryMiB` MiB and waits until every page has been written once. */
export async function startRewriter(guest: Guest, memoryMiB: number): Promise<void> {
  await guest.start(PROGRAM, memoryMiB);
  await passOf(guest, 1);
}

/** Lets it make `passes` more passes from now on; how many pages it found wrong since it began. */
export async function errorsAfter(guest: Guest, passes: number): Promise<number> {
  // The pass under way was begun at an unknown place: it does not count.
  return passOf(guest, (await progress(guest)).passes + 1 + passes);
}

async function passOf(guest: Guest, goal: number): Promise<number> {
  for (let poll = 0; poll < POLLS; poll++) {
    const { passes, errors } = await progress(guest);
    if (passes >= goal) return errors;
    await sleep(POLL_MS);
  }
  throw new Error(`The rewriter did not reach pass ${goal}`);
}

async function progress(guest: Guest): Promise<{ passes: number; errors: number }> {
  const { stdout } = await guest.exec(['cat', '/run/rewriter']);
  const [passes = 0, errors = 0] = stdout.split(' ').map(Number);
  return { passes, errors };
}
