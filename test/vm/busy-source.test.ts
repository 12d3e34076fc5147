import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { captureBegins } from '../support/capture-begins.js';
import { Lab } from '../support/lab.js';
import { readPulse, startPulse } from '../support/pulse.js';
import { errorsAfter, startRewriter } from '../support/rewriter.js';

const STALL_MS = 1500;

/** Nothing of this process runs meanwhile. */
function stallTheEventLoop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe('branch() of a source that does not hold still', { timeout: 180_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('busy');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('saves what is too much for the pause afterwards, each page before its first write', async () => {
    const source = await lab.spawn();
    await startRewriter(source, 256);
    const tags = [await lab.branch(source, { wait: 'running' })];
    assert.equal(await lab.settled(tags[0] ?? ''), 'ready');
    tags.push(await lab.branch(source));

    const armedPages = lab.events
      .filter(({ event }) => event === 'sandbox.pause-window')
      .map((pause) => Number(pause['armedPages']));
    assert(
      armedPages.some((pages) => pages > 0),
      `armed pages: ${armedPages.join(', ')}`,
    );
    for (const tag of tags) {
      const child = await lab.spawn(tag);
      assert.equal(await errorsAfter(child, 2), 0);
      await lab.end(child);
    }
    assert.equal(await errorsAfter(source, 2), 0);
  });

  it('is not paused longer by a daemon whose event loop stands still', async () => {
    const source = await lab.spawn();
    await source.python('memory = bytearray(b"x") * (200 << 20)');
    await startPulse(source);
    await sleep(500);
    const { beats, longestGapMs: usualGapMs } = await readPulse(source);

    let isAnswered = false;
    const branching = lab.host
      .branch(source.id, { mode: 'live', wait: 'ready' })
      .finally(() => (isAnswered = true));
    await captureBegins(lab.folders.hotDir, branching);
    assert.equal(isAnswered, false);
    stallTheEventLoop(STALL_MS);
    const snapshot = await branching;

    const pulse = await readPulse(source);
    assert(pulse.beats > beats);
    assert(
      snapshot.pauseMs !== undefined && snapshot.pauseMs < STALL_MS / 20,
      `${snapshot.pauseMs ?? '?'} ms`,
    );
    assert(
      pulse.longestGapMs < STALL_MS / 4,
      `longest gap ${pulse.longestGapMs} ms, ${usualGapMs} ms before`,
    );
  });

  it('leaves a program that is under way to end with its output once; the child runs its own copy, unheard', async () => {
    const program = `echo $$ > /root/pid; echo begun; until test -e /root/go; do sleep 0.05; done
      echo done; hostname > /root/ended`;
    const source = await lab.spawn();
    const running = source.exec(['sh', '-c', program]);
    while ((await source.exec(['test', '-s', '/root/pid'])).exit_code !== 0) await sleep(10);
    const child = await lab.spawn(await lab.branch(source));
    const lets = 'touch /root/go; while kill -0 $(cat /root/pid) 2>/dev/null; do sleep 0.05; done';
    const ended = await source.shell(`${lets}; cat /root/ended`);
    assert.deepEqual(await running, { stdout: 'begun\ndone\n', stderr: '', exit_code: 0, truncated: false });

    const waits = 'kill -0 $(cat /root/pid) && test ! -e /root/ended && echo waits';
    const [state, endedInChild, hostname] = (
      await child.shell(`${waits}; ${lets}; cat /root/ended; hostname`)
    ).split('\n');
    assert.deepEqual([state, endedInChild], ['waits', hostname]);
    assert.notEqual(hostname, ended);
  });
});
