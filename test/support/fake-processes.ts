/** Kept processes of a host without VMs: each prints its arguments at once, and then what it is fed; it ends with its input, or by a signal. */
import { EventEmitter, once } from 'node:events';
import type { Process, ProcessEvents } from '../../src/agent/index.js';
import { BoughError } from '../../src/contract/index.js';
import type { ProcessesHost } from '../../src/sandbox/host/guest-processes.js';

interface FakeProcess {
  view: Process;
  printed: Buffer;
  readonly changed: EventEmitter;
}

/** `check` throws for a sandbox there is not; `says` is what a program prints at once. */
export function fakeProcesses(
  check: (id: string) => void,
  says = (args: readonly string[]): string => `${args.join(' ')}\n`,
): ProcessesHost {
  const all = new Map<number, FakeProcess>();
  const ready = async (id: string): Promise<void> => {
    check(id);
    await Promise.resolve();
  };
  const find = async (id: string, pid: number): Promise<FakeProcess> => {
    await ready(id);
    const found = all.get(pid);
    if (found === undefined)
      throw new BoughError('process_not_found', { id, problem: `there is no process ${pid}` });
    return found;
  };
  const print = (process: FakeProcess, bytes: Buffer): void => {
    process.printed = Buffer.concat([process.printed, bytes]);
    process.view = { ...process.view, stdoutTo: process.printed.length };
    process.changed.emit('change');
  };
  const end = (process: FakeProcess, exitCode: number, signal?: number): void => {
    process.view = {
      ...process.view,
      ...{ running: false, exitCode, endedAtUnix: 1_700_000_001, timedOut: false },
      ...(signal === undefined ? {} : { signal }),
    };
    process.changed.emit('change');
  };
  const follow = async function* (
    process: FakeProcess,
    { from = 0, waits = true, signal }: { from?: number; waits?: boolean; signal: AbortSignal },
  ): ProcessEvents {
    let at = from;
    for (;;) {
      const bytes = process.printed.subarray(at);
      at += bytes.length;
      if (bytes.length > 0) yield { type: process.view.pty ? 'pty' : 'stdout', bytes };
      else if (!waits || !process.view.running) return yield { type: 'end', process: process.view };
      else await once(process.changed, 'change', { signal });
    }
  };
  const host: ProcessesHost = {
    async start(id, { args, pty, stdin, tag }) {
      await ready(id);
      if (args[0] === 'absent')
        throw new BoughError('process_not_started', { id, problem: 'absent: not found' });
      const pid = 100 + all.size;
      const view: Process = {
        ...{ pid, args: [...args], pty: pty !== undefined, startedAtUnix: 1_700_000_000, running: true },
        ...{ stdinBytes: 0, stdoutFrom: 0, stdoutTo: 0, stderrFrom: 0, stderrTo: 0 },
        ...(tag === undefined ? {} : { tag }),
      };
      const process = { view, printed: Buffer.alloc(0), changed: new EventEmitter().setMaxListeners(0) };
      all.set(pid, process);
      print(process, Buffer.from(says(args)));
      if (stdin !== true) end(process, 0);
      return process.view;
    },
    async *startAttached(id, { kill, ...spec }, call) {
      const started = await host.start(id, spec, call);
      const process = await find(id, started.pid);
      yield { type: 'started', process: started };
      try {
        yield* follow(process, { signal: call.signal });
      } finally {
        if (kill && process.view.running) end(process, 137, 9);
      }
    },
    async list(id) {
      await ready(id);
      return [...all.values()].map(({ view }) => view).reverse();
    },
    get: async ({ id, pid }) => (await find(id, pid)).view,
    async *output({ id, pid }, { stdoutFrom, follow: waits = false }, { signal }) {
      yield* follow(await find(id, pid), { from: stdoutFrom ?? 0, waits, signal });
    },
    async *attach({ id, pid }, { stdoutFrom = 0, frames }, call) {
      const process = await find(id, pid);
      void (async () => {
        for await (const { kind, payload } of frames) {
          if (kind === 2) await host.feed({ id, pid }, { input: payload, eof: payload.length === 0 }, call);
        }
      })();
      yield* follow(process, { from: stdoutFrom, signal: call.signal });
    },
    async feed({ id, pid }, { input, eof }) {
      const process = await find(id, pid);
      if (!process.view.running)
        throw new BoughError('stdin_closed', { id, problem: 'the program has ended' });
      const pieces = typeof input === 'string' || input instanceof Uint8Array ? [Buffer.from(input)] : input;
      for await (const piece of pieces) {
        process.view = { ...process.view, stdinBytes: process.view.stdinBytes + piece.length };
        print(process, Buffer.from(piece));
      }
      if (eof) end(process, 0);
      return process.view.stdinBytes;
    },
    async signal({ id, pid }, number) {
      const process = await find(id, pid);
      if (!process.view.running)
        throw new BoughError('process_ended', { id, problem: 'the program has ended' });
      end(process, 128 + number, number);
    },
    async resize({ id, pid }) {
      const process = await find(id, pid);
      if (!process.view.pty)
        throw new BoughError('no_terminal', { id, problem: 'the program has no terminal' });
    },
  };
  return host;
}
