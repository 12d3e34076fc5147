/**
 * Python programs that benchmarks run inside a guest, and how one is started so that it outlives the call that started it.
 *
 * Not handled: ending one. A program ends with its sandbox.
 */
import type { Guest } from './guest.js';

/** Gaps up to this long are the noise of sleeping one millisecond; they are not noted. */
export const GAP_FLOOR_MS = 2;

/**
 * Sleeps for a millisecond at a time and appends `end gap` to a file, seconds on the guest's monotonic clock and milliseconds,
 * whenever it got back later than the floor. Arguments: the file.
 */
export const gapProgram = `
import sys, time
out = open(sys.argv[1], 'w', buffering=1)
noted = 0
last = time.monotonic()
while True:
    time.sleep(0.001)
    now = time.monotonic()
    if now - last > ${GAP_FLOOR_MS / 1000}:
        if noted % 20000 == 0:
            out.seek(0)
            out.truncate()
        noted += 1
        out.write(f'{now:.6f} {(now - last) * 1000:.3f}\\n')
        now = time.monotonic()
    last = now
`;

/**
 * Rewrites memory without end, in order, one step a pass, and before each write checks that the memory holds what the pass before
 * wrote. A page of another instant is therefore found within one pass, wherever it is: in the source and in every child.
 * Arguments: MiB, a file for `passes errors seconds`, replaced after each pass (errors are MiB found wrong).
 */
export const rewriterProgram = `
import os, sys, time
import numpy as np
mib, path = int(sys.argv[1]), sys.argv[2]
memory = np.zeros((mib, 1 << 17), np.uint64)
wrong = np.empty(1 << 17, bool)
passes = errors = 0
began = time.monotonic()
while True:
    passes += 1
    for row in memory:
        np.not_equal(row, passes - 1, out=wrong)
        errors += bool(wrong.any())
        row.fill(passes)
    with open(path + '.new', 'w') as out:
        out.write(f'{passes} {errors} {time.monotonic() - began:.3f}')
    os.replace(path + '.new', path)
`;

/**
 * Writes one word of each page without end, the pages in the same random order each pass, and before each write checks that the page
 * holds what the pass before wrote. Arguments: MiB, the most pages a second, a file for \`passes errors seconds\`, replaced after
 * each pass (errors are pages found wrong).
 */
export const randomWriterProgram = `
import os, sys, time
import numpy as np
pages, rate, path = int(sys.argv[1]) << 8, int(sys.argv[2]), sys.argv[3]
memory = np.zeros((pages, 512), np.uint64)
batches = np.random.default_rng(1).permutation(pages).reshape(-1, 4096)
passes = errors = written = 0
began = time.monotonic()
while True:
    passes += 1
    for batch in batches:
        errors += int((memory[batch, 0] != passes - 1).sum())
        memory[batch, 0] = passes
        written += len(batch)
        early = began + written / rate - time.monotonic()
        if early > 0:
            time.sleep(early)
    with open(path + '.new', 'w') as out:
        out.write(f'{passes} {errors} {time.monotonic() - began:.3f}')
    os.replace(path + '.new', path)
`;

/**
 * Writes at a rate, over and over the same memory. What it is late with because the guest stood still or is too slow is not
 * caught up. Arguments: MiB a second.
 */
export const writerProgram = `
import sys, time
rate = int(sys.argv[1])
size = max(2 * rate, 16) << 20
memory = bytearray(size)
chunk = 64 << 10
fill = [bytes([value]) * chunk for value in range(1, 3)]
turn = at = 0
owed = 0.0
last = time.monotonic()
while True:
    time.sleep(0.005)
    now = time.monotonic()
    owed = min(owed + (now - last) * rate * (1 << 20), rate * (1 << 20) / 4)
    last = now
    while owed >= chunk:
        memory[at:at + chunk] = fill[turn]
        owed -= chunk
        at += chunk
        if at >= size:
            at, turn = 0, 1 - turn
`;

/**
 * Computes without end, and on the way rewrites memory at a rate, the same 64 MiB over and over; what it is late with is not all caught up.
 * Arguments: MiB a second, a file for how many pieces of work are done, replaced ten times a second.
 */
export const computingProgram = `
import os, sys, time
rate, path = int(sys.argv[1]) << 20, sys.argv[2]
size, chunk = 64 << 20, 64 << 10
memory = bytearray(size)
fill = [bytes([value]) * chunk for value in range(1, 3)]
units = at = turn = 0
owed = 0.0
last = told = time.monotonic()
while True:
    sum(range(5000))
    units += 1
    now = time.monotonic()
    owed = min(owed + (now - last) * rate, rate / 4)
    last = now
    while owed >= chunk:
        memory[at:at + chunk] = fill[turn]
        owed -= chunk
        at += chunk
        if at >= size:
            at, turn = 0, 1 - turn
    if now - told > 0.1:
        told = now
        with open(path + '.new', 'w') as out:
            out.write(str(units))
        os.replace(path + '.new', path)
`;

/**
 * Rewrites memory without end and counts. Arguments: MiB, a file of eight bytes for how many MiB were rewritten, little-endian.
 */
export const countingRewriterProgram = `
import mmap, os, sys
import numpy as np
mib, path = int(sys.argv[1]), sys.argv[2]
fd = os.open(path, os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 8)
rewritten = np.frombuffer(mmap.mmap(fd, 8), np.uint64)
memory = np.zeros((mib, 1 << 17), np.uint64)
passes = 0
while True:
    passes += 1
    for row in memory:
        row.fill(passes)
        rewritten[0] += 1
`;

/**
 * Dirties memory once, then writes a file over and over, in pieces of so many bytes, each unlike the one before it. Arguments: MiB of
 * memory, the file, its MiB, `order` or `anywhere`, bytes of a piece, `cached`, `fsync` or `direct`, a file for `MiB seconds`.
 */
export const diskWriterProgram = `
import mmap, os, random, sys, time
memory_mib, path, file_mib, where, piece, how, progress = sys.argv[1:]
memory = bytearray(b'x') * (int(memory_mib) << 20)
piece, size = int(piece), int(file_mib) << 20
flags = os.O_RDWR | os.O_CREAT | (os.O_DIRECT if how == 'direct' else 0)
fd = os.open(path, flags, 0o600)
data = mmap.mmap(-1, piece)
data.write(os.urandom(piece))
count = size // piece
turn = written = 0
began = told = time.monotonic()
while True:
    data[:8] = turn.to_bytes(8, 'little')
    at = turn % count if where == 'order' else random.randrange(count)
    written += os.pwrite(fd, data, at * piece)
    if how == 'fsync':
        os.fsync(fd)
    turn += 1
    now = time.monotonic()
    if now - told > 0.1:
        told = now
        with open(progress + '.new', 'w') as out:
            out.write(f'{written / (1 << 20):.3f} {now - began:.3f}')
        os.replace(progress + '.new', progress)
`;

/** Starts a program in the background of the guest; it keeps running when the call ends. */
export async function startProgram(
  guest: Guest,
  program: string,
  ...args: readonly (string | number)[]
): Promise<void> {
  const launch = 'setsid python3 -c "$@" </dev/null >/dev/null 2>&1 &';
  await guest.exec(['/bin/sh', '-c', launch, 'sh', program, ...args.map(String)]);
}

/** Progress of a program that checks what it writes. */
export interface Progress {
  readonly passes: number;
  /** Pieces that held something else than the pass before wrote. */
  readonly errors: number;
  readonly seconds: number;
}

/** Parses what such a program wrote; undefined before its first pass has ended. */
export function parseProgress(text: string): Progress | undefined {
  const match = /^(\d+) (\d+) ([\d.]+)$/.exec(text.trim());
  if (match === null) return undefined;
  return { passes: Number(match[1]), errors: Number(match[2]), seconds: Number(match[3]) };
}

/** Progress of `diskWriterProgram`. */
export interface Written {
  readonly writtenMiB: number;
  readonly seconds: number;
}

/** Parses what `diskWriterProgram` wrote; undefined before it has written to its disk for a while. */
export function parseWritten(text: string): Written | undefined {
  const match = /^([\d.]+) ([\d.]+)$/.exec(text.trim());
  if (match === null) return undefined;
  return { writtenMiB: Number(match[1]), seconds: Number(match[2]) };
}
