import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { claimed, startRealAgent } from '../../../test/support/real-agent.js';
import { limitMs } from '../../../test/support/time-limit.js';
import { AgentDeadline, AgentRefused, type Process, type ProcessEvent } from '../../agent/index.js';
import { Deferred } from '../../base/index.js';
import { isBoughError, type ErrorCode } from '../../contract/index.js';
import type { Image } from '../../image/index.js';
import { serviceOf, startService, type Service, type ServiceAgent } from './service.js';

const FAR_MS = limitMs(30_000);
const CHECK = { kind: 'exec', args: ['well'] } as const;

function described(more: Partial<Process>): Process {
  return {
    ...{ pid: 7, args: ['serve'], pty: false, startedAtUnix: 1, running: false, stdinBytes: 0 },
    ...{ stdoutFrom: 0, stdoutTo: 0, stderrFrom: 0, stderrTo: 0, ...more },
  };
}

/** A guest with a service that prints that and then ends, or goes on for ever; `well` ends with what is in `codes`, the last again and again. */
function fakeGuest({
  printed = '',
  end,
  codes = [0],
  cpuTimesMs = [0],
}: {
  printed?: string;
  end?: Partial<Process>;
  codes?: number[];
  cpuTimesMs?: number[];
}): { agent: ServiceAgent; done: string[]; finish: () => void } {
  const done: string[] = [];
  const ended = new Deferred<undefined>();
  if (end !== undefined) ended.resolve(undefined);
  const output = async function* (
    _pid: number,
    _request: object,
    signal?: AbortSignal,
  ): AsyncGenerator<ProcessEvent, void, undefined> {
    yield { type: 'stderr', bytes: Buffer.from(printed) };
    await Promise.race([
      ended.promise,
      new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('closed')))),
    ]).finally(() => done.push('closed'));
    yield { type: 'end', process: described(end ?? { exitCode: 0 }) };
  };
  const next = (values: number[]): number => (values.length > 1 ? values.shift() : values[0]) ?? 0;
  const agent: Partial<ServiceAgent> = {
    startProcess: ({ args, tag }) => {
      done.push(`start ${args.join(' ')} as ${tag ?? ''}`);
      return Promise.resolve(described({ running: true }));
    },
    output,
    exec: () => {
      done.push('look');
      return Promise.resolve({ stdout: '', stderr: 'not yet\n', exitCode: next(codes), truncated: false });
    },
    stats: () => {
      done.push('stats');
      return Promise.resolve({ cpuTimeMs: next(cpuTimesMs) });
    },
  };
  return { agent: agent as ServiceAgent, done, finish: () => ended.resolve(undefined) };
}

const started = (agent: ServiceAgent, more: Partial<Service> = {}, signal = new AbortController().signal) =>
  startService(agent, { args: ['serve', 'it'], ready: CHECK, timeoutMs: FAR_MS, ...more }, signal);

const failed = (code: ErrorCode, says: RegExp) => (error: unknown) => {
  assert(isBoughError(error, code), String(error));
  assert.match(error.message, says);
  return true;
};

describe('startService()', { timeout: 120_000 }, () => {
  it('waits until it is ready, and then until the guest is at rest', async () => {
    const { agent, done } = fakeGuest({ codes: [1, 1, 0], cpuTimesMs: [0, 1e6, 2e6, 2e6] });
    await started(agent);
    assert.deepEqual(done, [
      ...['start serve it as service', 'look', 'look', 'look', 'stats', 'stats', 'stats', 'stats'],
      'closed',
    ]);
  });

  it('says how a service ended, and the end of what it printed', async () => {
    const { agent } = fakeGuest({ printed: 'FATAL: no disk\n', end: { exitCode: 3 }, codes: [1] });
    await assert.rejects(
      started(agent),
      failed('service_ended', /: exit code 3; what it printed ends with: FATAL: no disk$/),
    );
    const killed = fakeGuest({ end: { exitCode: 137, signal: 9 }, codes: [1] });
    await assert.rejects(started(killed.agent), failed('service_ended', /: signal 9; it printed nothing$/));
  });

  it('takes one that ends in good order for one that ended, and one that ends while it settles', async () => {
    const daemonized = fakeGuest({ end: { exitCode: 0 }, codes: [1] });
    await assert.rejects(started(daemonized.agent), failed('service_ended', /exit code 0/));
    const { agent, done, finish } = fakeGuest({ cpuTimesMs: [0, 1e6, 2e6, 3e6, 4e6] });
    const starting = started(agent);
    while (!done.includes('stats')) await new Promise(setImmediate);
    finish();
    await assert.rejects(starting, failed('service_ended', /exit code 0/));
  });

  it('gives up on one that is never ready, and says why it was not', async () => {
    const { agent, done } = fakeGuest({ printed: 'one\ntwo\n', codes: [1] });
    await assert.rejects(
      started(agent, { timeoutMs: 300 }),
      failed(
        'service_not_ready',
        /within 300 ms: exec:well: exit code 1: not yet; what it printed ends with:\none\ntwo$/,
      ),
    );
    assert.equal(done.at(-1), 'closed');
  });

  it('tells what was missing, not that there was no time left to ask', async () => {
    const { agent } = fakeGuest({});
    const exec: ServiceAgent['exec'] = async (request) => {
      if ((request.timeoutMs ?? 0) < 1000) throw new AgentDeadline('exec', request.timeoutMs ?? 0);
      return await Promise.resolve({ stdout: '', stderr: 'not yet\n', exitCode: 4, truncated: false });
    };
    await assert.rejects(
      started({ ...agent, exec }, { timeoutMs: 600 }),
      failed('service_not_ready', /exit code 4: not yet/),
    );
  });

  it('says why a program cannot be run', async () => {
    const refused = new AgentRefused('start', 'not_started', 'serve: not found');
    const agent = { ...fakeGuest({}).agent, startProcess: () => Promise.reject(refused) };
    await assert.rejects(started(agent), failed('service_ended', /cannot be run: serve: not found/));
  });

  it('ends with its caller', async () => {
    const { agent, done } = fakeGuest({ codes: [1] });
    const caller = new AbortController();
    const starting = started(agent, {}, caller.signal);
    while (!done.includes('look')) await new Promise(setImmediate);
    caller.abort(new Error('the caller left'));
    await assert.rejects(starting, /the caller left/);
  });

  it('leaves a kept process behind in the agent itself', async (t) => {
    const real = await startRealAgent(null);
    t.after(() => real.close());
    const client = await claimed(real);
    // What this host is busy with is not the guest's.
    const agent: ServiceAgent = {
      startProcess: (...args) => client.startProcess(...args),
      output: (...args) => client.output(...args),
      exec: (...args) => client.exec(...args),
      dial: (...args) => client.dial(...args),
      files: client.files,
      stats: () => Promise.resolve({ cpuTimeMs: 0 }),
    };
    const args = ['sh', '-c', 'echo up; sleep 60'];
    await started(agent, { args, ready: { kind: 'log', pattern: 'up' } });
    const [kept] = await client.processes();
    assert.deepEqual([kept?.tag, kept?.running, kept?.args], ['service', true, args]);
    assert.equal(kept?.stdoutTo, 3);
    const ends = { args: ['sh', '-c', 'echo no room >&2; exit 4'], ready: { kind: 'tcp', port: 1 } } as const;
    await assert.rejects(started(agent, ends), failed('service_ended', /exit code 4; .*: no room$/));
  });
});

describe('serviceOf()', () => {
  const image = (more: object = {}): Pick<Image, 'service'> => ({
    service: { command: ['own'], ports: [], ...more },
  });

  it('takes what the image says: its command, its health check, else its first port', () => {
    assert.deepEqual(serviceOf({ start: true }, image({ ports: [80, 81] })), {
      args: ['own'],
      ready: { kind: 'tcp', port: 80 },
      timeoutMs: 120_000,
    });
    const healthcheck = ['pg_isready'];
    const { ready } = serviceOf({ start: ['x'] }, image({ ports: [80], healthcheck }));
    assert.deepEqual(ready, { kind: 'exec', args: healthcheck });
    const asked = { start: ['x'], ready: CHECK, readyTimeoutMs: 5 } as const;
    assert.deepEqual(serviceOf(asked, {}), { args: ['x'], ready: CHECK, timeoutMs: 5 });
  });

  it('refuses by name what nobody says', () => {
    const field = (name: string) => (error: unknown) =>
      isBoughError(error, 'invalid_request') && error.details?.['field'] === name;
    assert.throws(() => serviceOf({ start: true, ready: CHECK }, {}), field('start'));
    assert.throws(() => serviceOf({ start: true, ready: CHECK }, image({ command: [] })), field('start'));
    assert.throws(() => serviceOf({ start: ['x'] }, image()), field('ready'));
  });
});
