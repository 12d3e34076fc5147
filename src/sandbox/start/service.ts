/**
 * A service that is to be running in a snapshot: started, waited for until it is ready, and left to settle.
 *
 *   start ──▶ is it ready? ◀── every POLL_MS ──▶ settled? ──▶ the capture
 *     └─ it ended, or was not ready in time: an error with the end of what it printed
 *
 * It is a kept process of the agent, so that it belongs to the machine and not to our connection: each child has it among its own. It has to
 * stay in the foreground, since one that goes on behind the back of its start command cannot be told from one that failed.
 *
 * Not handled: what a service does when it is idle. One that is never quiet is captured as it is.
 */
import { AgentRefused, type AgentClient, type Process } from '../../agent/index.js';
import { anyOf, monotonicMs, sleep } from '../../base/index.js';
import { BoughError, type ReadyCheck } from '../../contract/index.js';
import type { Image, ImageService } from '../../image/index.js';
import { look } from './ready.js';
import { ServiceLog } from './service-log.js';

const DEFAULT_READY_TIMEOUT_MS = 120_000;
const POLL_MS = 250;
/** A single look at it. */
const LOOK_TIMEOUT_MS = 10_000;
/** The last one too: cut short, it would say only that, and not what is missing. */
const MIN_LOOK_MS = 1_000;

/** A guest that used less of a processor than this in such a time is at rest. */
const QUIET_MS = 500;
const QUIET_SHARE = 0.1;
/** Nobody waits longer for that. */
const SETTLE_MS = 5_000;

/** The name it has in lists of processes. */
const TAG = 'service';

/** What was asked for. */
export interface ServiceSpec {
  /** Program and arguments, or the image's own. */
  readonly start: true | readonly string[];
  readonly ready?: ReadyCheck | undefined;
  readonly readyTimeoutMs?: number | undefined;
}

/** What to start, and how to know that it is ready. */
export interface Service {
  readonly args: readonly string[];
  readonly ready: ReadyCheck;
  readonly timeoutMs: number;
}

/** What the guest's agent is asked for. */
export type ServiceAgent = Pick<AgentClient, 'startProcess' | 'output' | 'exec' | 'dial' | 'files' | 'stats'>;

/** With what the image says for what was left out; throws `invalid_request` where it says nothing. */
export function serviceOf(
  { start, ready, readyTimeoutMs = DEFAULT_READY_TIMEOUT_MS }: ServiceSpec,
  { service }: Pick<Image, 'service'>,
): Service {
  const { command = [], ports: [port] = [], healthcheck }: Partial<ImageService> = service ?? {};
  const args = start === true ? command : start;
  if (args.length === 0) throw missing('start', 'must say what to start: the image has no command');
  if (ready !== undefined) return { args, ready, timeoutMs: readyTimeoutMs };
  if (healthcheck !== undefined)
    return { args, ready: { kind: 'exec', args: healthcheck }, timeoutMs: readyTimeoutMs };
  if (port === undefined)
    throw missing('ready', 'must say when it is ready: the image has neither a health check nor a port');
  return { args, ready: { kind: 'tcp', port }, timeoutMs: readyTimeoutMs };
}

const missing = (field: string, problem: string): BoughError =>
  new BoughError('invalid_request', { field, problem });

/** Resolves when it is ready and at rest. Throws `service_ended` and `service_not_ready`. */
export async function startService(
  agent: ServiceAgent,
  service: Service,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const stop = anyOf(over.signal, signal);
  const log = new ServiceLog(service.ready.kind === 'log' ? service.ready.pattern : undefined);
  const { pid } = await started(agent, service, stop);
  const ended = follow(agent, { pid, log }, stop).then((problem) => {
    throw new BoughError('service_ended', { problem, log: log.end });
  });
  try {
    await Promise.race([ended, untilReady(agent, { service, log }, stop).then(() => settle(agent, stop))]);
  } finally {
    over.abort();
    // What is captured has no connection of ours in it.
    await ended.catch(() => undefined);
  }
}

async function started(agent: ServiceAgent, { args }: Service, signal: AbortSignal): Promise<Process> {
  try {
    return await agent.startProcess({ args, tag: TAG }, { signal });
  } catch (error) {
    if (!(error instanceof AgentRefused)) throw error;
    const problem = `it cannot be run: ${error.problem}`;
    throw new BoughError('service_ended', { problem, log: '' }, { cause: error });
  }
}

/** Reads what it prints until it ends; says how it did. */
async function follow(
  agent: ServiceAgent,
  { pid, log }: { readonly pid: number; readonly log: ServiceLog },
  signal: AbortSignal,
): Promise<string> {
  for await (const event of agent.output(pid, { follow: true }, signal)) {
    if (event.type === 'stdout' || event.type === 'stderr') log.add(event.type, event.bytes);
    if (event.type === 'end') return howEnded(event.process);
  }
  throw new TypeError('The output of a process ends with what became of it');
}

function howEnded({ signal, exitCode }: Process): string {
  return signal === undefined ? `exit code ${exitCode ?? 'unknown'}` : `signal ${signal}`;
}

async function untilReady(
  agent: ServiceAgent,
  { service, log }: { readonly service: Service; readonly log: ServiceLog },
  signal: AbortSignal,
): Promise<void> {
  const { ready, timeoutMs } = service;
  const endMs = monotonicMs() + timeoutMs;
  for (;;) {
    const lookMs = Math.max(MIN_LOOK_MS, Math.min(LOOK_TIMEOUT_MS, endMs - monotonicMs()));
    const problem = await look(ready, { agent, log, timeoutMs: lookMs, signal });
    if (problem === undefined) return;
    if (monotonicMs() + POLL_MS > endMs) {
      const facts = { check: wordsOf(ready), timeoutMs, problem, log: log.end };
      throw new BoughError('service_not_ready', facts);
    }
    await sleep(POLL_MS, signal);
  }
}

/** A child goes on where its source was: what that was in the middle of, each of them would do over. */
async function settle(agent: ServiceAgent, signal: AbortSignal): Promise<void> {
  const endMs = monotonicMs() + SETTLE_MS;
  let [beforeMs, busyMs] = [monotonicMs(), await cpuTimeMs(agent, signal)];
  while (monotonicMs() < endMs) {
    await sleep(QUIET_MS, signal);
    const [nowMs, busyNowMs] = [monotonicMs(), await cpuTimeMs(agent, signal)];
    if (busyNowMs - busyMs < QUIET_SHARE * (nowMs - beforeMs)) return;
    [beforeMs, busyMs] = [nowMs, busyNowMs];
  }
}

/** An agent that cannot tell counts as one at rest. */
async function cpuTimeMs(agent: ServiceAgent, signal: AbortSignal): Promise<number> {
  return (await agent.stats({ signal })).cpuTimeMs ?? 0;
}

function wordsOf(check: ReadyCheck): string {
  if (check.kind === 'exec') return `exec:${check.args.join(' ')}`;
  if (check.kind === 'http') return `http:${check.port}${check.path}`;
  if (check.kind === 'tcp') return `tcp:${check.port}`;
  return check.kind === 'file' ? `file:${check.path}` : `log:${check.pattern}`;
}
