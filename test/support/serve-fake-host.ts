/**
 * A daemon over a host without VMs, as a process, for clients in other languages:
 *
 *   node dist/test/support/serve-fake-host.js <host:port> [token file]
 *
 * It prints its URL, and ends with its standard input. `exec ["wait"]` lasts until its caller leaves; `exec ["left"]` prints how many
 * callers have left so. Anything else is as in `fakeHost`.
 */
import { once } from 'node:events';
import { pino } from 'pino';
import type { ExecResult } from '../../src/agent/index.js';
import { loadConfig } from '../../src/daemon/config.js';
import { serve } from '../../src/daemon/serve.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { fakeHost } from './fake-host.js';

let leftCount = 0;

const exec: Host['exec'] = async (_id, { args }, { signal }): Promise<ExecResult> => {
  if (args[0] === 'wait') {
    await once(signal, 'abort');
    leftCount += 1;
  }
  const stdout = args[0] === 'left' ? String(leftCount) : `${args.join(' ')}\n`;
  return { stdout, stderr: '', exitCode: 0, truncated: false };
};

const [, , listen = '127.0.0.1:0', tokenFile] = process.argv;
const config = loadConfig({ listen, stateDir: '/nowhere', ...(tokenFile && { tokenFile }) }, {});
const log = pino({ level: 'silent' });
const daemon = await serve(config, fakeHost({ exec }), { log, drainMs: 20 });
process.stdout.write(`${daemon.address}\n`);
process.stdin.resume();
await once(process.stdin, 'end');
await daemon.close();
