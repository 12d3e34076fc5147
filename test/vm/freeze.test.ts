/** Programs that draw random numbers and read the clock each 2 ms, in a branch that holds them: nothing of theirs is another's, or old. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { armFailpoint, disarmFailpoints, sleep } from '../../src/base/index.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';

const NOTES_PATH = '/dev/shm/notes';

/** An entry is begun before anything of it is drawn or read: one that was begun before the capture may be finished in each copy. */
const NOTE = `
import os, time
notes = os.open("${NOTES_PATH}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
while True:
    os.write(notes, b"+")
    drawn, before, clock = os.urandom(8).hex(), time.monotonic_ns(), time.time_ns()
    os.write(notes, f"{drawn} {clock - before} {time.monotonic_ns() - before}\\n".encode())
    time.sleep(0.002)
`;

/** Readings of the two clocks that lie further apart say nothing of how far apart the clocks are. */
const SURE_NS = 20_000_000n;

/**
 * Between capture and restore. A child's clock may be set late, by what the call to it takes: so that this is not taken for the source's clock, they
 * have to lie further apart than a call takes.
 */
const APART_MS = 2_000;

interface Entry {
  readonly drawn: string;
  /** The wall clock less the monotonic one. */
  readonly clockNs: bigint;
  readonly isSure: boolean;
}

function entriesOf(notes: string): Entry[] {
  return [...notes.matchAll(/\+(\S+) (-?\d+) (\d+)\n/g)].map(([, drawn = '', clock = '', took = '']) => ({
    drawn,
    clockNs: BigInt(clock),
    isSure: BigInt(took) < SURE_NS,
  }));
}

describe('a branch that holds the programs', { timeout: 300_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('freeze');
  });
  afterEach(() => {
    disarmFailpoints();
    return lab.clean();
  });
  after(() => lab.close());

  const notesOf = async ({ id }: Guest): Promise<string> => {
    const { bytes } = await lab.host.files.read(id, { path: Buffer.from(NOTES_PATH) }, ownCall());
    const pieces: Buffer[] = [];
    for await (const piece of bytes) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  };
  /** What it has noted, once that is so many entries more than these. */
  const goneOn = async (guest: Guest, since: string, entryCount = 30): Promise<string> => {
    for (;;) {
      const notes = await notesOf(guest);
      if (entriesOf(notes.slice(since.length)).length > entryCount) return notes.slice(since.length);
      await sleep(50);
    }
  };
  const noting = async (): Promise<Guest> => {
    const source = await lab.spawn();
    await source.start(NOTE);
    while ((await source.exec(['test', '-s', NOTES_PATH])).exit_code !== 0) await sleep(50);
    await goneOn(source, '');
    return source;
  };

  it('has no draw twice in two children and their source, and nothing on the old clock', async (t) => {
    const source = await noting();
    let held = '';
    armFailpoint('branch.requested', async () => {
      held = await notesOf(source);
    });
    const tag = await lab.branch(source, { freeze: true });
    await sleep(APART_MS);
    const children = [await lab.spawn(tag), await lab.spawn(tag)];
    const kept = await Promise.all(children.map(notesOf));
    for (const notes of kept) assert(notes.startsWith(held), 'a program went on while it was held');
    const fresh = await Promise.all([source, ...children].map((guest) => goneOn(guest, held)));
    const draws = fresh.flatMap((notes) => entriesOf(notes).map(({ drawn }) => drawn));
    assert.equal(new Set(draws).size, draws.length);
    const old = entriesOf(held).findLast(({ isSure }) => isSure)?.clockNs;
    assert(old !== undefined);
    const clocks = fresh.slice(1).flatMap((notes) => entriesOf(notes).filter(({ isSure }) => isSure));
    assert(clocks.length > 30);
    assert.deepEqual(
      clocks.filter(({ clockNs }) => clockNs - old < SURE_NS),
      [],
    );
    t.diagnostic(`${draws.length} draws, ${clocks.length} readings of the clock`);
  });

  it('lets those of the source go on when it fails', async () => {
    const source = await noting();
    let held = '';
    armFailpoint('branch.requested', async () => {
      held = await notesOf(source);
      assert.equal(await notesOf(source), held);
      throw new Error('not now');
    });
    await assert.rejects(lab.branch(source, { freeze: true }), /not now/);
    await goneOn(source, held);
    await lab.host.pause(source.id);
    await assert.rejects(lab.branch(source, { freeze: true }), { code: 'sandbox_not_running' });
  });
});
