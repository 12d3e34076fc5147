import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { CliDaemon } from '../../test/support/cli-daemon.js';
import { BoughError } from '../contract/index.js';
import { OutputClosed } from './exit.js';
import type { Io, SignalName } from './io.js';
import type { Terminal } from './terminal.js';

/** Signals that a test sends. */
class Signals extends EventEmitter {
  readonly onSignal = (listener: (name: SignalName) => void): (() => void) => {
    this.on('signal', listener);
    return () => void this.off('signal', listener);
  };
}

/** Input that stays open until it is not wanted any more. */
const openInput: Io['stdinChunks'] = async function* (signal) {
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  yield* [];
};

/** Tells when something was printed: from then on the program is known here. */
function printing(): { write: Io['write']; printed: Promise<void> } {
  let tell = (): void => undefined;
  const printed = new Promise<void>((resolve) => (tell = resolve));
  const write = (): Promise<void> => {
    tell();
    return Promise.resolve();
  };
  return { write, printed };
}

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
};

describe('programs in guests', () => {
  let daemon: CliDaemon;
  let id: string;
  before(async () => {
    daemon = await CliDaemon.open();
    id = await daemon.spawn();
  });
  const warnings: string[] = [];
  const onWarning = ({ message }: Error): void => void warnings.push(message);
  process.on('warning', onWarning);
  after(async () => {
    await daemon.close();
    process.off('warning', onWarning);
    assert.deepEqual(warnings, [], 'the daemon has something to say in whose process this is');
  });

  const running = async (): Promise<boolean> =>
    (await daemon.host.processes.list(id, { signal: AbortSignal.timeout(5000) } as never)).some(
      (each) => each.running,
    );

  it('exec passes on bytes that are no text, input included, and ends with it', async () => {
    const bytes = Buffer.from([0, 255, 254, 10, 0xc3]);
    const stdinChunks = (): AsyncIterable<Uint8Array> =>
      Readable.from([bytes.subarray(0, 2), bytes.subarray(2)]);
    const ran = await daemon.run(['exec', '-i', id, '--', 'cat'], { io: { stdinChunks } });
    assert.deepEqual(ran, { code: 0, stdout: `cat\n${bytes.toString('latin1')}`, stderr: '' });
  });

  it('exec runs it where and as whom it is told, attached and detached', async (test) => {
    const attached = test.mock.method(daemon.host.processes, 'startAttached');
    const started = test.mock.method(daemon.host.processes, 'start');
    assert.equal((await daemon.run(['exec', '--user', '1000:app', '--cwd', '/srv', id, 'id'])).code, 0);
    assert.equal((await daemon.run(['exec', '-d', '-u', 'app', '-w', '/tmp', id, 'id'])).code, 0);
    const asked = [attached.mock.calls[0], started.mock.calls.at(-1)].map((call) => call?.arguments[1]);
    assert.deepEqual(
      asked.map((request) => [request?.user, request?.cwd]),
      [
        ['1000:app', '/srv'],
        ['app', '/tmp'],
      ],
    );
  });

  it('exec gives no input unless it is asked to', async () => {
    const stdinChunks = (): never => assert.fail('nobody asked for input');
    assert.equal(
      (await daemon.run(['exec', id, '--', 'ls', '-l'], { io: { stdinChunks } })).stdout,
      'ls -l\n',
    );
  });

  it('exec passes a signal on and ends with the status it makes', async (test) => {
    const signals = new Signals();
    const asked = test.mock.method(daemon.host.processes, 'signal');
    const { write, printed } = printing();
    const ran = daemon.run(['exec', '-i', id, '--', 'cat'], {
      io: { write, stdinChunks: openInput, onSignal: signals.onSignal },
    });
    await printed;
    signals.emit('signal', 'SIGTERM');
    assert.equal((await ran).code, 128 + 15);
    assert.equal(asked.mock.calls[0]?.arguments[1], 15);
    assert.equal(signals.listenerCount('signal'), 0);
  });

  it('exec kills at the third interrupt what does not want to end', async (test) => {
    test.mock.method(daemon.host.processes, 'signal', () => Promise.resolve());
    const signals = new Signals();
    const { write, printed } = printing();
    const ran = daemon.run(['exec', '-i', id, '--', 'stubborn'], {
      io: { write, stdinChunks: openInput, onSignal: signals.onSignal },
    });
    await printed;
    for (let count = 0; count < 3; count++) signals.emit('signal', 'SIGINT');
    assert.deepEqual(await ran, { code: 130, stdout: '', stderr: '' });
    await until(async () => !(await running()));
  });

  it('exec ends the program, quietly, when nobody reads its output any more', async () => {
    const write = (): Promise<never> => Promise.reject(new OutputClosed());
    const ran = await daemon.run(['exec', '-i', id, '--', 'yes'], { io: { write, stdinChunks: openInput } });
    assert.deepEqual(ran, { code: 0, stdout: '', stderr: '' });
    await until(async () => !(await running()));
  });

  it('exec -t gives a terminal of this size, makes this one raw, and restores it', async (test) => {
    const start = test.mock.method(daemon.host.processes, 'startAttached');
    const resize = test.mock.method(daemon.host.processes, 'resize');
    const told: string[] = [];
    const size = { cols: 100, rows: 30 };
    let resized = (): void => undefined;
    const terminal: Terminal = {
      size: () => ({ ...size }),
      makeRaw: () => (told.push('raw'), () => void told.push('restored')),
      onResize: (listener) => ((resized = listener), () => void told.push('no more sizes')),
    };
    async function* typed(): AsyncGenerator<Uint8Array> {
      await until(() => told.includes('raw'));
      size.cols = 120;
      resized();
      yield Buffer.from('exit\r');
      await until(() => resize.mock.callCount() > 0);
    }
    const ran = await daemon.run(['exec', '-t', id, '--', 'sh'], { io: { terminal, stdinChunks: typed } });
    assert.deepEqual(ran, { code: 0, stdout: 'sh\nexit\r', stderr: '' });
    assert.deepEqual(start.mock.calls[0]?.arguments[1].pty, { cols: 100, rows: 30 });
    assert.deepEqual(resize.mock.calls[0]?.arguments[1], { cols: 120, rows: 30 });
    assert.deepEqual(told, ['raw', 'no more sizes', 'restored']);
  });

  it('exec -t goes on without a terminal where there is none, and says so', async () => {
    const ran = await daemon.run(['exec', '-t', id, '--', 'sh']);
    assert.deepEqual([ran.code, ran.stdout], [0, 'sh\n']);
    assert.match(ran.stderr, /^note: .* no terminal/);
  });

  it('exec falls back to one answer for an agent that keeps no processes', async (test) => {
    const refused = new BoughError('agent_refused', { id, problem: 'no such operation' });
    test.mock.method(daemon.host.processes, 'startAttached', async function* () {
      await Promise.reject(refused);
      yield* [];
    });
    assert.deepEqual(await daemon.run(['exec', id, '--', 'old']), { code: 0, stdout: 'old\n', stderr: '' });
  });

  it('exec --detach leaves it running, and prints its id', async () => {
    const pid = (await daemon.run(['exec', '-d', '--tag', 'web', id, '--', 'serve'])).stdout.trim();
    assert.match(
      await daemon.printed('ps', id),
      new RegExp(`^${id} +${pid} +web +exit 0 +\\d+\\w +serve$`, 'm'),
    );
    assert.equal(await daemon.printed('logs', id, 'web'), 'serve\n');
    assert.equal(await daemon.printed('process', 'logs', '-f', id, pid), 'serve\n');
    for (const wrong of [
      ['-d', '-i'],
      ['-d', '-t'],
      ['--tag', 'x'],
    ])
      assert.equal((await daemon.run(['exec', ...wrong, id, '--', 'x'])).code, 2);
  });

  it('ps lists those of all sandboxes, by name too; logs and kill say which there is not', async () => {
    const other = await daemon.spawn('--name', 'other');
    await daemon.printed('exec', '-d', 'other', '--', 'true');
    assert((await daemon.printed('ps', '-q')).trim().split('\n').length > 1);
    assert.match(await daemon.printed('ps', 'other'), new RegExp(`^${other} `, 'm'));
    for (const args of [
      ['logs', other, 'absent'],
      ['process', 'kill', other, 'absent'],
      ['logs', other, '99999'],
    ]) {
      const { code, stderr } = await daemon.run(args);
      assert.equal(code, 1);
      assert.match(stderr, /\nhint: `bough ps <id>` lists/);
    }
  });

  it('run spawns, runs and removes, and ends with the status of the program', async () => {
    const before = [...daemon.host.sandboxes.keys()];
    const ran = await daemon.run(['run', 'base', '--metadata', 'a=b', 'echo', '-n', 'hi']);
    assert.deepEqual(ran, { code: 0, stdout: 'echo -n hi\n', stderr: '' });
    assert.equal((await daemon.run(['run', 'base', '--', 'absent'])).code, 127);
    assert.equal((await daemon.run(['run', 'nothing', '--', 'x'])).code, 1);
    assert.deepEqual([...daemon.host.sandboxes.keys()], before);
  });

  it('run removes on an interrupt too, when the program ends of it and when it does not', async (test) => {
    const before = [...daemon.host.sandboxes.keys()];
    const interrupted = async (times: number): Promise<number> => {
      const signals = new Signals();
      const { write, printed } = printing();
      const ran = daemon.run(['run', '-i', 'base', '--', 'cat'], {
        io: { write, stdinChunks: openInput, onSignal: signals.onSignal },
      });
      await printed;
      for (let count = 0; count < times; count++) signals.emit('signal', 'SIGINT');
      return (await ran).code;
    };
    assert.equal(await interrupted(1), 130);
    test.mock.method(daemon.host.processes, 'signal', () => Promise.resolve());
    assert.equal(await interrupted(3), 130);
    assert.deepEqual([...daemon.host.sandboxes.keys()], before);
  });

  it('run removes what was started all the same when an interrupt comes meanwhile', async (test) => {
    const before = [...daemon.host.sandboxes.keys()];
    const signals = new Signals();
    const spawn = daemon.host.spawn.bind(daemon.host);
    let [begun, go, told] = [(): void => undefined, (): void => undefined, (): void => undefined];
    const isMade = new Promise<void>((resolve) => (told = resolve));
    const isAsked = new Promise<void>((resolve) => (begun = resolve));
    const isDue = new Promise<void>((resolve) => (go = resolve));
    test.mock.method(daemon.host, 'spawn', async (...asked: Parameters<typeof spawn>) => {
      begun();
      await isDue;
      return spawn(...asked).finally(told);
    });
    const ran = daemon.run(['run', 'base', '--', 'true'], { io: { onSignal: signals.onSignal } });
    await isAsked;
    signals.emit('signal', 'SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 20));
    go();
    assert.deepEqual(await ran, { code: 130, stdout: '', stderr: '' });
    await isMade;
    assert.deepEqual([...daemon.host.sandboxes.keys()], before);
  });

  it('run says which sandbox it could not remove, and ends with the status of the program all the same', async (test) => {
    test.mock.method(daemon.host, 'removeSandbox', () =>
      Promise.reject(new BoughError('shutting_down', undefined)),
    );
    const { code, stderr } = await daemon.run(['run', 'base', '--', 'true']);
    assert.equal(code, 0);
    assert.match(stderr, /^error: the sandbox is left: .*\nhint: `bough rm sandbox\d+` ends it\n$/);
  });
});
