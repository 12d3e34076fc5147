/** What the guests of the examples in the SDK do: enough of a few programs and of an interpreter. */
import type { ExecEvent, ExecRequest } from '../../src/agent/index.js';
import type { Events } from '../../src/contract/index.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { fakeHost } from '../support/fake-host.js';
import { fakeProcesses } from '../support/fake-processes.js';
import { tellingHost } from '../support/telling-host.js';

/** A host without VMs whose guests know the examples' programs, and which tells `events` of sandboxes made and removed. */
export function exampleHost(events: Events): Host {
  const host = fakeHost({
    exec: (_id, { args, stdin }) => {
      const stdout = args[0] === 'cat' && typeof stdin === 'string' ? stdin : said(args);
      return Promise.resolve({ stdout, stderr: '', exitCode: args[0] === 'false' ? 1 : 0, truncated: false });
    },
    execStream: (_id, { args }) => streamed(args),
    evaluate: (_id, { code }) => {
      const result = { x: '42', '6 * 7': '42' }[code] ?? null;
      return Promise.resolve({ result, error: null, exitCode: 0, stdout: '', stderr: '', truncated: false });
    },
    processes: fakeProcesses((id) => void host.sandboxes.get(id), said),
  });
  return tellingHost(host, events);
}

function said([program, ...rest]: readonly string[]): string {
  return program === 'echo' ? `${rest.join(' ')}\n` : '';
}

async function* streamed(args: ExecRequest['args']): AsyncGenerator<ExecEvent> {
  const bytes = Buffer.from(said(args));
  if (bytes.length > 0) yield await Promise.resolve({ type: 'stdout', bytes });
  yield { type: 'exit', exitCode: 0 };
}
