/**
 * A daemon over a host without VMs, as a process, for clients in other languages:
 *
 *   node dist/test/support/serve-fake-host.js <host:port> [token file]
 *
 * It prints its URL, and ends with its standard input. `exec ["wait"]` lasts until its caller leaves; `exec ["left"]` prints how many
 * callers have left so. Streamed, they print a line first. Anything else is as in `fakeHost`; sandboxes made and removed are told of.
 */
import { once } from 'node:events';
import { pino } from 'pino';
import type { ExecResult } from '../../src/agent/index.js';
import { Events } from '../../src/contract/index.js';
import { loadConfig } from '../../src/daemon/config.js';
import { serve } from '../../src/daemon/serve.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { fakeHost } from './fake-host.js';
import { tellingHost } from './telling-host.js';

let leftCount = 0;

const exec: Host['exec'] = async (_id, { args }, { signal }): Promise<ExecResult> => {
  if (args[0] === 'wait') {
    await once(signal, 'abort');
    leftCount += 1;
  }
  const stdout = args[0] === 'left' ? String(leftCount) : `${args.join(' ')}\n`;
  return { stdout, stderr: '', exitCode: 0, truncated: false };
};

const execStream: Host['execStream'] = async function* (_id, request, call) {
  yield { type: 'stdout', bytes: Buffer.from(`${request.args.join(' ')}\n`) };
  const { exitCode } = await exec('', request, call);
  yield { type: 'exit', exitCode };
};

const [, , listen = '127.0.0.1:0', tokenFile] = process.argv;
const { BOUGH_ALLOW_ORIGINS } = process.env;
const config = loadConfig(
  { listen, stateDir: '/nowhere', ...(tokenFile && { tokenFile }) },
  { BOUGH_ALLOW_ORIGINS },
);
const log = pino({ level: 'silent' });
const events = new Events();
const host = tellingHost(fakeHost({ exec, execStream }), events);
const daemon = await serve(config, host, { log, drainMs: 20, events });
process.stdout.write(`${daemon.address}\n`);
process.stdin.resume();
await once(process.stdin, 'end');
await daemon.close();
