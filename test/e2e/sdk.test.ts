import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { Bough, BoughApiError, type ProcessOutput } from '../../src/sdk/index.js';
import { DaemonLab } from '../support/daemon-lab.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

const textOf = (pieces: readonly ProcessOutput[]): string =>
  pieces.map((piece) => ('text' in piece ? piece.text : '')).join('');

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe('the SDK, with a real daemon', { timeout: 300_000 }, () => {
  let lab: DaemonLab;
  before(async () => {
    lab = await DaemonLab.open('sdk');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  it('works inside a sandbox: processes, a terminal, streams, pauses, events', async () => {
    const webSocket = (url: string): WebSocket => new WebSocket(url);
    const bough = new Bough({ url: lab.url, webSocket });
    const sandbox = await bough.spawn(TEMPLATE_TAG, { name: 'a.name', env: { GREETING: 'hello' } });

    // What it printed can be read later, from any offset, and what is gone is told.
    const counted = await bough.sandbox('a.name').processes.start('seq 400000; echo $GREETING >&2; exit 7');
    const ended = await counted.wait();
    assert.equal(ended.exit_code, 7);
    const pieces = await all(counted.output());
    const gap = pieces.find(({ type }) => type === 'gap');
    assert(gap?.type === 'gap' && gap.bytes === ended.stdout_from && gap.bytes > 0);
    assert(textOf(pieces).includes('\n400000\n') && textOf(pieces).includes('hello\n'));
    const tail = await all(counted.output({ stdoutFrom: ended.stdout_to - 7, stderrFrom: ended.stderr_to }));
    assert.equal(textOf(tail), '400000\n');

    const cat = await sandbox.processes.start(['cat'], { stdin: true });
    assert.equal(await cat.write(new Uint8Array([0, 255, 10]), { eof: true }), 3);
    const echoed = (await all(cat.output())).flatMap((piece) =>
      'bytes' in piece && piece.type !== 'gap' ? [...piece.bytes] : [],
    );
    assert.deepEqual(echoed, [0, 255, 10]);

    const shell = await sandbox.processes.start(['sh'], { pty: { cols: 80, rows: 24 }, stdin: true });
    const terminal = await shell.attach();
    terminal.resize({ cols: 101, rows: 31 });
    terminal.write('stty size; exit 3\n');
    const typed = await all(terminal);
    assert(textOf(typed).includes('31 101'));
    const last = typed.at(-1);
    assert(last?.type === 'end' && last.process.exit_code === 3);

    // Who stops reading ends the program.
    for await (const piece of sandbox.execStream(['sh', '-c', 'echo begun; exec sleep 61'])) {
      assert(piece.type === 'stdout');
      break;
    }
    const sleeps = async (): Promise<boolean> =>
      (await sandbox.exec(['sh', '-c', "grep -qs '[s]leep.61' /proc/[0-9]*/cmdline"])).exit_code === 0;
    for (let tries = 0; await sleeps(); tries++) assert(tries < 100);

    assert.equal((await sandbox.pause()).state, 'paused');
    const refused = await sandbox.ping().catch((error: unknown) => error);
    assert(refused instanceof BoughApiError && refused.code === 'sandbox_not_running');
    assert.equal((await sandbox.resume()).state, 'running');
    assert((await sandbox.stats()).memory_unique_bytes > 0);
    assert.equal((await sandbox.network.get()).policy.mode, 'none');
    assert.equal((await sandbox.network.check({ host: 'example.com', port: 443 })).verdict, 'refused');

    const events = sandbox.events({ from: 'oldest' });
    await sandbox.kill();
    assert.deepEqual(
      (await all(events)).map(({ event }) => event),
      ['created', 'running', 'paused', 'running', 'ended'],
    );
  });
});
