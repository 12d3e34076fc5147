/**
 * A server is branched while it is under load: no request fails, and the copy goes on with the same count.
 *
 *   node examples/branch-under-load.mjs [--tag <snapshot>]
 *
 * The server and what asks it are two programs in one sandbox, so both are in the branch. In the child they run
 * on from the same instant, under the same process ids, and know nothing of it.
 */
import { parseArgs } from 'node:util';
import { Bough } from 'bough';

const { values } = parseArgs({ options: { tag: { type: 'string', default: 'base' } } });
const bough = new Bough({
  url: process.env.BOUGH_URL ?? 'http://127.0.0.1:8889',
  token: process.env.BOUGH_TOKEN,
});

/** Answers each request with how many there were. */
const SERVER = `
import http.server
count = 0

class Counter(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global count
        count += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(count).encode())

    def log_message(self, *args):
        pass

server = http.server.HTTPServer(('127.0.0.1', 8000), Counter)
print('ready', flush=True)
server.serve_forever()
`;

/** Asks as fast as it is answered, until SIGTERM; then says how that went. */
const LOAD = `
import signal, urllib.request
going = True

def stop(*_):
    global going
    going = False

signal.signal(signal.SIGTERM, stop)
failed = last = 0
while going:
    try:
        last = int(urllib.request.urlopen('http://127.0.0.1:8000', timeout=30).read())
    except Exception:
        failed += 1
    if last == 10:
        print('under load', flush=True)
print(last, 'answered,', failed, 'failed')
`;

/** Resolves once a process has printed it. */
async function printed(process, word) {
  let text = '';
  for await (const piece of process.output()) {
    if (piece.type === 'stdout') text += piece.text;
    if (text.includes(word)) return;
    if (piece.type === 'end') throw new Error(`It ended with status ${piece.process.exit_code}`);
  }
}

/** Ends the load of a sandbox, and resolves with how it went. */
async function endLoad(sandbox, pid) {
  const load = sandbox.processes.of(pid);
  await load.signal('SIGTERM');
  let text = '';
  for await (const piece of load.output()) if (piece.type === 'stdout') text += piece.text;
  return text.trim().split('\n').at(-1);
}

const source = await bough.spawn(values.tag);
try {
  await printed(await source.processes.start(['python3', '-c', SERVER]), 'ready');
  const load = await source.processes.start(['python3', '-c', LOAD]);
  await printed(load, 'under load');

  const { snapshot, pauseMs, children } = await source.fork();
  const [child] = children;
  try {
    console.log(`the source stood still for ${pauseMs.toFixed(2)} ms`);
    console.log(`source: ${await endLoad(source, load.pid)}`);
    console.log(`child: ${await endLoad(child, load.pid)}`);
  } finally {
    await child.kill();
    await bough.snapshots.delete(snapshot.tag);
  }
} finally {
  await source.kill();
}
