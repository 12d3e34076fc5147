/**
 * `npm run test:elsewhere -- deno bun chromium`: what a program does with the built SDK (test/sdk/elsewhere-program.ts), in these runtimes. Each
 * is the name or path of one that is on this machine already; what it is, its last word tells. The daemon is one over a host without VMs, or
 * with `--url` one that runs, whose snapshot `base` has a shell's programs; `--token` is the daemon's.
 *
 * A browser gets the program from a server of this script, so it is a page of another origin: the daemon has to be told of that one.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join, normalize } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { EXPECTED } from '../dist/test/sdk/elsewhere-program.js';
import { isMain, PROJECT_DIR, runMain } from './setup.mjs';

const PAGE_ORIGIN = { host: '127.0.0.1', port: 8891 };
const ORIGIN = `http://${PAGE_ORIGIN.host}:${PAGE_ORIGIN.port}`;
const PROGRAM = '/test/sdk/elsewhere-program.js';
const DEADLINE_MS = 120_000;

/** How a runtime that is no browser runs a file. */
const RUN = { deno: ['run', '--allow-net', '--allow-env', '--quiet'], bun: ['run'], node: [] };

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { url: { type: 'string' }, token: { type: 'string' } },
  });
  const daemon = values.url === undefined ? await startFakeDaemon() : undefined;
  const options = { url: values.url ?? daemon.url, ...(values.token && { token: values.token }) };
  try {
    let failures = 0;
    for (const runtime of positionals) {
      const told = await (kindOf(runtime) === 'browser' ? inBrowser : inProgram)(runtime, options);
      failures += report(runtime, told);
    }
    return failures === 0 && positionals.length > 0 ? 0 : 1;
  } finally {
    daemon?.child.stdin.end();
  }
}

function kindOf(runtime) {
  return Object.keys(RUN).find((name) => basename(runtime).startsWith(name)) ?? 'browser';
}

/** Prints every step; resolves with how many went otherwise than they should. */
function report(runtime, told) {
  const wrong = Object.keys(EXPECTED).filter((step) => told[step] !== EXPECTED[step]);
  for (const step of wrong) console.log(`  ${step}: ${told[step]} (expected: ${EXPECTED[step]})`);
  console.log(
    `${runtime}: ${Object.keys(EXPECTED).length - wrong.length} of ${Object.keys(EXPECTED).length} steps`,
  );
  return wrong.length;
}

async function startFakeDaemon() {
  const path = join(PROJECT_DIR, 'dist/test/support/serve-fake-host.js');
  const env = { ...process.env, BOUGH_ALLOW_ORIGINS: ORIGIN };
  const child = spawn(process.execPath, [path, '127.0.0.1:0'], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const [first] = await once(child.stdout.setEncoding('utf8'), 'data');
  return { child, url: first.trim() };
}

async function inProgram(runtime, options) {
  const source = [
    `import { work } from ${JSON.stringify(join(PROJECT_DIR, 'dist', PROGRAM))};`,
    `console.log(JSON.stringify(await work(${JSON.stringify(options)})));`,
  ].join('\n');
  const dir = mkdtempSync(join(tmpdir(), 'bough-elsewhere-'));
  try {
    const file = join(dir, 'program.mjs');
    writeFileSync(file, source);
    const child = spawn(runtime, [...RUN[kindOf(runtime)], file], {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: DEADLINE_MS,
    });
    const printed = await text(child.stdout);
    return JSON.parse(printed.trim().split('\n').at(-1) || '{}');
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function inBrowser(runtime, options) {
  const profile = mkdtempSync(join(tmpdir(), 'bough-elsewhere-'));
  const { server, told } = await servePage(options);
  const args = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    `--user-data-dir=${profile}`,
    `${ORIGIN}/`,
  ];
  const child = spawn(runtime, args, { stdio: ['ignore', 'ignore', 'ignore'], detached: true });
  try {
    return await Promise.race([told, sleep(DEADLINE_MS, {}, { ref: false })]);
  } finally {
    process.kill(-child.pid);
    await once(child, 'exit');
    server.close().closeAllConnections();
    rmSync(profile, { recursive: true, maxRetries: 5 });
  }
}

/** What was built, a page that runs it, and where that tells what came of it. */
async function servePage(options) {
  const page = `<!doctype html><script type="module">
    const { work } = await import('${PROGRAM}');
    const told = await work(${JSON.stringify(options)}).catch((error) => ({ exec: String(error) }));
    await fetch('/told', { method: 'POST', body: JSON.stringify(told) });
  </script>`;
  let tell;
  const told = new Promise((resolve) => (tell = resolve));
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') {
      response.end();
      tell(JSON.parse(await text(request)));
    } else if (request.url === '/') response.setHeader('content-type', 'text/html').end(page);
    else {
      response.setHeader('content-type', 'text/javascript');
      const file = createReadStream(join(PROJECT_DIR, 'dist', normalize(request.url)));
      file.on('error', () => response.writeHead(404).end()).pipe(response);
    }
  });
  await once(server.listen(PAGE_ORIGIN.port, PAGE_ORIGIN.host), 'listening');
  return { server, told };
}

if (isMain(import.meta.url)) await runMain(main);
