/**
 * Boots the outer machine, shows what it prints, and ends as what ran in it ended.
 *
 * Arguments: parts to run instead of all that there are for KVM (`native`, `vm/clock`); or `--run <words>`, a shell command to run there.
 * A machine that hangs is ended after a bound that is far beyond what a run takes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { loadConfig } from '../../src/daemon/config.js';
import { testImage } from '../support/test-host.js';
import { debian13 } from './debian13.js';
import { outerMachine } from './outer-machine.js';

const LIMIT_MS = 45 * 60_000;
/** How many times longer than on a machine that is not emulated a test may take. */
const TIME_FACTOR = 10;
const END = /^outer: status (\d+) /;

const script = (args: readonly string[]): string => {
  const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
  const [first, ...words] = args;
  const command =
    first === '--run' ? words.join(' ') : `node scripts/test-inside-kvm.mjs ${args.map(quoted).join(' ')}`;
  return [
    `export BOUGH_ACCELERATOR=kvm BOUGH_TIME_FACTOR=${TIME_FACTOR} BOUGH_CACHE_DIR=/payload/cache`,
    ...['CI', 'BOUGH_TEST_ALL'].map((name) => `export ${name}=${quoted(process.env[name] ?? '')}`),
    'cd /payload/bough',
    command,
    '',
  ].join('\n');
};

const ending = new AbortController();
const { cacheDir } = loadConfig({}, process.env);
const tree = await debian13(cacheDir);
const { dir: imageDir } = await testImage();
const dir = await mkdtemp(join(cacheDir, 'test', 'outer-'));
// Not `once`: whoever else listens, such as what ends our children, would end this process as soon as nobody of ours does.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => ending.abort());
try {
  process.stderr.write('setup: disks of the outer machine …\n');
  const { program, args } = await outerMachine({
    tree,
    cacheDir,
    imageDir,
    script: script(process.argv.slice(2)),
    dir,
  });
  const machine = execa(program, args, {
    ...{ stdin: 'ignore', stderr: 'inherit', buffer: false, reject: false },
    ...{ timeout: LIMIT_MS, killSignal: 'SIGKILL', cancelSignal: ending.signal },
  });
  let status: number | undefined;
  for await (const line of machine) {
    const text = line.replaceAll('\r', '');
    if (status === undefined) process.stdout.write(`${text}\n`);
    status ??= END.test(text) ? Number(END.exec(text)?.[1]) : undefined;
  }
  const { timedOut } = await machine;
  if (status === undefined) process.stdout.write(`outer: ${timedOut ? 'ended, it hung' : 'it went away'}\n`);
  process.exitCode = status ?? 1;
} finally {
  await rm(dir, { recursive: true });
}
