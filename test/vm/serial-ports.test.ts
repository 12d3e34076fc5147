import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { after, afterEach, before, describe, it } from 'node:test';
import type { ExecEvent } from '../../src/agent/index.js';
import { compact } from '../../src/base/index.js';
import { BoughError } from '../../src/contract/index.js';
import { ownCall } from '../../src/sandbox/host/call.js';
import { openHost } from '../../src/sandbox/host/open-host.js';
import { AGENT_PORT } from '../../src/image/index.js';
import { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { limitMs } from '../support/time-limit.js';

const DEADLINE_MS = limitMs(60_000);
/** No multiple of anything. */
const PIECE_BYTES = 50_001;
/** Of TCP, in /proc/net/tcp. */
const ESTABLISHED = '01';

describe('the serial ports of a real guest', { timeout: limitMs(300_000) }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('serial-ports');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  /** Connections that the agent has by TCP, the one of this question included if that is how it came. */
  async function overNetwork(guest: Guest): Promise<number> {
    const local = AGENT_PORT.toString(16).toUpperCase().padStart(4, '0');
    const lines = (await guest.shell('cat /proc/net/tcp')).split('\n');
    return lines.filter((line) => new RegExp(`:${local} \\S+ ${ESTABLISHED} `).test(line)).length;
  }

  /** Asks until the answer comes by a port. */
  async function ported(guest: Guest): Promise<Guest> {
    for (const giveUpMs = performance.now() + DEADLINE_MS; performance.now() < giveUpMs;) {
      // While the agent begins again, nobody answers.
      if ((await overNetwork(guest).catch(() => undefined)) === 0) return guest;
      await delay(50);
    }
    assert.fail('calls go over the network');
  }

  const streamOf = (guest: Guest, script: string, stdin?: AsyncIterable<Uint8Array>) =>
    lab.host.execStream(
      guest.id,
      { args: ['sh', '-c', script], timeoutMs: DEADLINE_MS, ...compact({ stdin }) },
      ownCall(),
    );

  /** Digest and length of standard output, and what the program ended with. */
  async function outputOf(events: AsyncIterable<ExecEvent>) {
    const hash = createHash('sha256');
    let bytes = 0;
    let exitCode: number | null = null;
    for await (const event of events) {
      if (event.type === 'stdout') {
        hash.update(event.bytes);
        bytes += event.bytes.length;
      }
      if (event.type === 'exit') exitCode = event.exitCode;
    }
    return { digest: hash.digest('hex'), bytes, exitCode };
  }

  it('carry bytes both ways unchanged, as many as are sent', async () => {
    const guest = await ported(await lab.spawn());
    const input = randomBytes(4 << 20);
    const pieces = Array.from({ length: Math.ceil(input.length / PIECE_BYTES) }, (_, index) =>
      input.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES),
    );
    const stdin = Readable.from(pieces);
    const { digest, bytes, exitCode } = await outputOf(streamOf(guest, 'cat', stdin));
    assert.deepEqual([bytes, exitCode], [input.length, 0]);
    assert.equal(digest, createHash('sha256').update(input).digest('hex'));
    assert.equal(await overNetwork(guest), 0);
  });

  it('are free again when a call was given up in the middle of its output, and its program has ended', async () => {
    const guest = await ported(await lab.spawn());
    for (let round = 0; round < 3; round++) {
      for await (const event of streamOf(guest, 'exec -a flood cat /dev/zero'))
        if (event.type === 'stdout') break;
    }
    await ported(guest);
    assert.equal(await guest.shell('pgrep -c flood || true'), '0');
  });

  it('go on in a source that is branched in the middle of output, and are as new in its child', async () => {
    const guest = await ported(await lab.spawn());
    const script = 'for i in $(seq 1 300); do echo line $i; sleep 0.01; done; echo done > /run/looped';
    const wanted = Array.from({ length: 300 }, (_, index) => `line ${index + 1}\n`).join('');
    const output = outputOf(streamOf(guest, script));
    await delay(500);
    const child = await lab.spawn(await lab.branch(guest));
    assert.equal((await output).digest, createHash('sha256').update(wanted).digest('hex'));
    await ported(child);
    const looped = 'for i in $(seq 1 600); do [ -e /run/looped ] && break; sleep 0.1; done; cat /run/looped';
    assert.equal(await child.shell(looped), 'done', 'what ran in the source goes on in the child');
  });

  it('are used by the next daemon', async () => {
    const guest = await ported(await lab.spawn());
    await lab.host.close();
    lab.host = await openHost({ ...lab.folders, maxConcurrentBranches: 4, emit: () => undefined });
    await ported(Guest.ofHost(lab.host, guest.id));
  });

  it('tell at once that the agent ended, and are used again when it is back', async () => {
    const guest = await ported(await lab.spawn());
    const kill =
      'for p in /proc/[0-9]*; do case "$(cat $p/comm)" in agent) kill -9 ${p#/proc/};; esac; done; sleep 600';
    await assert.rejects(
      outputOf(streamOf(guest, kill)),
      (error) => error instanceof BoughError && error.code === 'agent_unreachable',
    );
    await ported(guest);
  });

  it('are left out when programs of the guest hold them', async () => {
    const guest = await ported(await lab.spawn());
    // A child's agent opens its ports anew, so these come first in one of them at most.
    const hold =
      'import os,time\nfds=[os.open(f"/dev/vport0p{n}", os.O_RDWR) for n in range(1, 5)]\ntime.sleep(600)';
    await guest.exec(['sh', '-c', `setsid python3 -c '${hold}' </dev/null >/dev/null 2>&1 &`]);
    const child = await lab.spawn(await lab.branch(guest));
    assert.equal(await child.shell('echo well'), 'well');
    assert.equal(await guest.shell('echo well'), 'well');
  });
});
