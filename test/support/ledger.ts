/**
 * A program in a guest whose memory and disk check each other: the oracle of the branch tests.
 *
 * Step n rewrites one page of a large array, in scattered order, with words that depend on n alone; every
 * eighth step first writes a record to the disk, past the guest's page cache, and one to an ordinary file. So
 * whatever the instant, n says what every page and every record must be:
 *
 *   page(m)   = m * SALT            for the last PAGES steps m
 *   record(r) = r * SALT[:64]       for the last SLOTS records r, up to n/8, or one more when a step is under way
 *   log       = 1, 2, 3, ...        the same
 *
 * Before it overwrites a page or a record the program checks what is there. Thus a page or a block of a later
 * instant is found by the program within one pass, and one of an earlier instant by `checkLedger`, which
 * stops the program for a look.
 */
import assert from 'node:assert/strict';
import { sleep } from '../../src/base/index.js';
import type { Guest } from './guest.js';
import { limitMs } from './time-limit.js';

const SHARED = `
import os, mmap, signal, time
import numpy as np
SLOTS, EVERY, STRIDE = 4096, 8, 5167
SALT = np.random.RandomState(7).randint(1, 1 << 62, 512).astype(np.uint64) | np.uint64(1)
SALT[0] = 1
`;

const PROGRAM = `${SHARED}
import sys
PAGES = int(sys.argv[1]) * 256
def private(size):
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory = np.frombuffer(private(PAGES * 4096), np.uint64).reshape(PAGES, 512)
header = np.frombuffer(private(4096), np.uint64)
disk = os.open('/root/records', os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
block = private(SLOTS * 512)
records = np.frombuffer(block, np.uint64).reshape(SLOTS, 64)
n = max(PAGES, SLOTS * EVERY)
for m in range(n - PAGES + 1, n + 1):
    np.multiply(SALT, np.uint64(m), out=memory[m * STRIDE % PAGES])
r = n // EVERY
for q in range(r - SLOTS + 1, r + 1):
    np.multiply(SALT[:64], np.uint64(q), out=records[q % SLOTS])
os.pwritev(disk, [block], 0)
log = os.open('/root/log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.fsync(disk)
sector = private(4096)
found = np.frombuffer(sector, np.uint64)[:64]
small = memoryview(sector)[:512]
expected = np.empty(512, np.uint64)
header[0] = n
address = lambda array: array.__array_interface__['data'][0]
with open('/run/ledger.new', 'w') as out:
    out.write(f'{os.getpid()} {address(header)} {address(memory)} {PAGES} {r}')
os.rename('/run/ledger.new', '/run/ledger')
while True:
    n += 1
    if n % EVERY == 0:
        r = n // EVERY
        at = r % SLOTS * 512
        os.preadv(disk, [small], at)
        np.multiply(SALT[:64], np.uint64(r - SLOTS), out=expected[:64])
        if (found != expected[:64]).any(): header[2] += np.uint64(1)
        np.multiply(SALT[:64], np.uint64(r), out=found)
        os.pwritev(disk, [small], at)
        os.write(log, r.to_bytes(8, 'little'))
        if r % 256 == 0: os.fsync(log)
    row = memory[n * STRIDE % PAGES]
    np.multiply(SALT, np.uint64(n - PAGES), out=expected)
    if (row != expected).any(): header[1] += np.uint64(1)
    np.multiply(SALT, np.uint64(n), out=row)
    header[0] = n
`;

const CHECK = `${SHARED}
def look():
    pid, header_at, memory_at, pages, first_record = map(int, open('/run/ledger').read().split())
    os.kill(pid, signal.SIGSTOP)
    try:
        while open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[0] != 'T': time.sleep(0.002)
        with open(f'/proc/{pid}/mem', 'rb', buffering=0) as memory:
            memory.seek(header_at)
            n, wrong_pages, wrong_records = map(int, np.frombuffer(memory.read(24), np.uint64))
            memory.seek(memory_at)
            steps = np.arange(n - pages + 1, n + 1, dtype=np.uint64)
            step_of = np.empty(pages, np.uint64)
            step_of[(steps * np.uint64(STRIDE)) % np.uint64(pages)] = steps
            for start in range(0, pages, 512):
                chunk = np.frombuffer(read_all(memory, 512 * 4096), np.uint64).reshape(512, 512)
                m = step_of[start:start + 512]
                bad = (chunk != m[:, None] * SALT).any(axis=1)
                bad[m == n - pages + 1] = False
                wrong_pages += int(bad.sum())
        block = mmap.mmap(-1, SLOTS * 512)
        disk = os.open('/root/records', os.O_RDONLY | os.O_DIRECT)
        os.preadv(disk, [block], 0)
        os.close(disk)
        found = np.frombuffer(block, np.uint64).reshape(SLOTS, 64)
        last = n // EVERY
        r = np.arange(last - SLOTS + 2, last + 1, dtype=np.uint64)
        wrong_records += int((found[r % np.uint64(SLOTS)] != r[:, None] * SALT[:64]).any(axis=1).sum())
        log = np.fromfile('/root/log', np.uint64)
        wrong_log = int((log != np.arange(first_record + 1, first_record + 1 + len(log), dtype=np.uint64)).sum())
        ahead = first_record + len(log) - last
        return [n, wrong_pages, wrong_records, wrong_log, ahead]
    finally:
        os.kill(pid, signal.SIGCONT)
def read_all(file, size):
    parts = []
    while size > 0:
        part = file.read(size)
        parts.append(part)
        size -= len(part)
    return b''.join(parts)
def progress():
    pid, header_at = map(int, open('/run/ledger').read().split()[:2])
    with open(f'/proc/{pid}/mem', 'rb', buffering=0) as memory:
        memory.seek(header_at)
        return int.from_bytes(memory.read(8), 'little')
`;

const POLL_MS = 100;
const POLLS = limitMs(30_000) / POLL_MS;

/** Starts the program over `memoryMiB` MiB (a power of two) and waits until it is at work. */
export async function startLedger(guest: Guest, memoryMiB: number): Promise<void> {
  await guest.python(CHECK);
  await guest.start(PROGRAM, memoryMiB);
  for (let poll = 0; poll < POLLS; poll++) {
    if ((await guest.exec(['test', '-e', '/run/ledger'])).exit_code === 0) return;
    await sleep(POLL_MS);
  }
  assert.fail(`the ledger did not start: ${await guest.shell('cat /run/program.err')}`);
}

/** How far it is. */
export function ledgerStep(guest: Guest): Promise<number> {
  return guest.read<number>('progress()');
}

/** Checks every page and every record against the step the program is at, which it returns. */
export async function checkLedger(guest: Guest): Promise<number> {
  const [step = 0, wrongPages, wrongRecords, wrongLog, ahead] = await guest.read<number[]>('look()');
  assert.deepEqual(
    { wrongPages, wrongRecords, wrongLog, isLogInStep: ahead === 0 || ahead === 1 },
    { wrongPages: 0, wrongRecords: 0, wrongLog: 0, isLogInStep: true },
    `at step ${step}, the log ${ahead ?? '?'} records ahead`,
  );
  return step;
}

/** Waits until the program has made `steps` more steps, so that it has looked at what it overwrote. */
export async function letLedgerRun(guest: Guest, steps: number): Promise<void> {
  const goal = (await ledgerStep(guest)) + steps;
  for (let poll = 0; poll < POLLS; poll++) {
    if ((await ledgerStep(guest)) >= goal) return;
    await sleep(POLL_MS);
  }
  assert.fail(`the ledger stands still before step ${goal}`);
}
