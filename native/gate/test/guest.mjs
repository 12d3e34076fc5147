/**
 * By hand: a real guest in QEMU with the gate and the pager preloaded, against the egress and origins on the loopback.
 *
 *   npm run build && make -C native/gate && node native/gate/test/guest.mjs IMAGE_FOLDER [--unrestricted]
 *
 * With --unrestricted the guest has QEMU's user network as it is, to compare with. Prints what it saw; exits 1 at what it should not see.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { AgentClient } from '../../../dist/src/agent/index.js';
import { QmpClient } from '../../../dist/src/qmp/index.js';

const [image, how] = process.argv.slice(2);
const gated = how !== '--unrestricted';
const root = join(import.meta.dirname, '../../..');
const dir = mkdtempSync(join(tmpdir(), 'gate-guest-'));
const path = (name) => join(dir, name);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const listening = async (server) => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
};

const web = createHttp((request, response) => {
  if (request.url === '/big') return void response.end(Buffer.alloc(64 << 20));
  if (request.url === '/cut') {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('x'.repeat(10));
    return void setTimeout(() => response.socket.resetAndDestroy(), 200);
  }
  if (request.url === '/slow') {
    response.writeHead(200);
    slowBegan();
    const timer = setInterval(() => response.write('line\n'), 50);
    return void response.on('close', () => clearInterval(timer));
  }
  response.end('hello from the origin');
});
web.on('upgrade', (_request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n');
  socket.on('error', () => undefined).pipe(socket);
});
let slowBegan;
const slow = new Promise((done) => (slowBegan = done));
const webPort = await listening(web);
const echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
const echoPort = await listening(echo);
let forbiddenConnections = 0;
const forbidden = createServer((socket) => (forbiddenConnections++, socket.destroy()));
const forbiddenPort = await listening(forbidden);

/** Knows one name. */
const dns = createSocket('udp4');
dns.on('message', (query, from) => {
  const isKnown = query.includes(Buffer.from('\x06origin\x07example'));
  const answer = Buffer.concat([query.subarray(0, 2), Buffer.from([0x81, isKnown ? 0x80 : 0x83, 0, 1, 0, isKnown ? 1 : 0, 0, 0, 0, 0])]);
  const question = query.subarray(12, query.indexOf(0, 12) + 5);
  const record = isKnown ? Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]) : Buffer.alloc(0);
  dns.send(Buffer.concat([answer, question, record]), from.port, from.address);
});
dns.bind(0, '127.0.0.1');
await once(dns, 'listening');

async function startEgress() {
  const child = spawn(process.execPath, [join(root, 'dist/src/network/egress/main.js'), path('egress'), `127.0.0.1:${dns.address().port}`], { stdio: 'inherit' });
  for (let tries = 0; tries < 200; tries++) {
    if (await ask({ get: 's' }).then(() => true, () => false)) break;
    await sleep(50);
  }
  const policy = {
    mode: 'list',
    rules: [{ allow: 'origin.example', ports: [webPort, echoPort] }, { allow: 'host', ports: [webPort, echoPort] }],
  };
  const put = { sandbox: 's', socketPath: path('gate'), logPath: path('log'), namesPath: path('names'), policy, presets: {} };
  assert.deepEqual(await ask({ put }), { ok: null });
  return child;
}
async function ask(request) {
  const socket = connect(path('egress'));
  await once(socket, 'connect');
  socket.write(`${JSON.stringify(request)}\n`);
  const [line] = await once(createInterface(socket), 'line');
  socket.destroy();
  return JSON.parse(line);
}

let egress = gated ? await startEgress() : undefined;
const spec = JSON.parse(readFileSync(join(image, 'image.json'), 'utf8'));
const qemu = spawn('qemu-system-x86_64', [
  ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-S', '-M', 'pc', '-cpu', 'qemu64', '-m', '512'],
  ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny', '-accel', 'tcg,tb-size=64'],
  ...['-kernel', join(image, 'vmlinuz'), '-initrd', join(image, 'initrd'), '-append', spec.kernelCmdline],
  ...['-drive', `if=none,id=d0,file=${join(image, 'rootfs.ext4')},format=raw,snapshot=on`, '-device', 'virtio-blk-pci,drive=d0'],
  ...['-netdev', `user,id=net0,restrict=off,ipv6=off,hostfwd=tcp:127.0.0.1:0-:${spec.agentPort}`],
  ...['-device', 'virtio-net-pci,id=eth0,netdev=net0,addr=0x4,disable-modern=on,romfile='],
  ...['-chardev', `file,id=console,path=${path('console')}`, '-device', 'isa-serial,chardev=console'],
  ...['-qmp', `unix:${path('qmp')},server=on,wait=off`],
], {
  stdio: 'inherit',
  env: gated
    ? { PATH: process.env.PATH, LD_PRELOAD: [join(root, 'native/gate/build/libgate.so'), join(root, 'native/pager/build/libpager.so')].join(' '), BOUGH_GATE_SOCKET: path('gate') }
    : { PATH: process.env.PATH },
});
const finish = (status) => {
  qemu.kill('SIGKILL');
  egress?.kill('SIGKILL');
  if (status === 0) rmSync(dir, { recursive: true });
  else console.log(`left: ${dir}`);
  process.exit(status);
};
process.on('uncaughtException', (error) => (console.error(error), finish(1)));
setTimeout(() => finish(2), 400_000);

let qmp;
for (let tries = 0; qmp === undefined; tries++) {
  await sleep(100);
  qmp = await QmpClient.connect(path('qmp')).catch((error) => assert(tries < 300, error));
}
if (gated) {
  const { ok } = await ask({ get: 's' });
  console.log(`sealed before the guest runs: ${ok.isSealed}`);
  assert.equal(ok.isSealed, true);
  const fds = readdirSync(`/proc/${qemu.pid}/fd`).map((fd) => readlinkSync(`/proc/${qemu.pid}/fd/${fd}`));
  console.log(`QEMU has io_uring rings: ${fds.filter((each) => each.includes('io_uring')).length}`);
}
const forwarded = await qmp.execute('human-monitor-command', { 'command-line': 'info usernet' });
const port = Number(/HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)/.exec(forwarded)?.[1]);
await qmp.execute('cont');
const startedMs = performance.now();
const agent = new AgentClient({ host: '127.0.0.1', port });
await agent.waitReady({ timeoutMs: 200_000 });
await agent.identify({ newSecret: randomBytes(32).toString('hex'), seed: randomBytes(64), unixTimeNs: BigInt(Date.now()) * 1_000_000n });
console.log(`the agent answers after ${Math.round((performance.now() - startedMs) / 1000)} s`);

const guest = async (script, timeoutMs = 100_000) => {
  const { stdout, stderr, exitCode } = await agent.exec({ args: ['python3', '-c', script], timeoutMs });
  assert.equal(exitCode, 0, `${stdout}${stderr}`);
  return stdout.trim();
};
const host = gated ? 'origin.example' : '10.0.2.2';
const prelude = `
import socket, time, urllib.request, statistics, errno, threading
def tcp(host, port, timeout=10):
    began = time.monotonic()
    try:
        socket.create_connection((host, port), timeout).close()
        what = 'connected'
    except socket.gaierror as error: what = 'no such name'
    except OSError as error: what = errno.errorcode.get(error.errno, str(error))
    return f'{what} {1000 * (time.monotonic() - began):.1f}'
`;
await agent.exec({ args: ['sh', '-c', 'ip route show default | grep -q . || ip route add default via 10.0.2.2; printf "nameserver 10.0.2.3\\n" > /etc/resolv.conf'], timeoutMs: 20_000 });

if (gated) {
  const said = await guest(`${prelude}
print(urllib.request.urlopen('http://${host}:${webPort}/').read().decode())
print(urllib.request.urlopen('http://10.0.2.2:${webPort}/').read().decode())
for host, port in [('${host}', 22), ('10.0.2.2', ${forbiddenPort}), ('127.0.0.1.nip.example', 80), ('169.254.169.254', 80), ('93.184.216.34', 443), ('10.0.2.2', 53), ('10.0.2.3', 53), ('28.1.2.3', 443), ('0x7f.1', ${forbiddenPort} + 0)]:
    print(host, port, tcp(host, port))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(5); u.connect(('8.8.8.8', 443)); u.send(b'quic')
began = time.monotonic()
try: u.recv(10); print('UDP answered')
except OSError as error: print('UDP', errno.errorcode.get(error.errno, error), f'{1000 * (time.monotonic() - began):.1f}')
try: print(urllib.request.urlopen('http://${host}:${webPort}/cut').read())
except Exception as error: print('cut:', type(error).__name__, error)
w = socket.create_connection(('${host}', ${webPort})); w.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: echo\\r\\nConnection: Upgrade\\r\\n\\r\\n')
print('upgrade:', w.recv(1000).split(b'\\r\\n')[0].decode()); w.sendall(b'ping'); print('after it:', w.recv(10).decode())
`);
  console.log(said);
  assert.match(said, /^hello from the origin\nhello from the origin\n/);
  assert(!/:? connected/.test(said), 'something was reached that no rule allows');
  assert.equal(forbiddenConnections, 0);
  assert.match(said, /UDP ECONNREFUSED/);
  assert.match(said, /after it: ping/);
}

console.log(await guest(`${prelude}
h, p = '${host}', ${echoPort}
a = socket.gethostbyname(h)
def rtt():
    began = time.monotonic(); s = socket.create_connection((a, p)); connected = time.monotonic(); s.sendall(b'x'); s.recv(1); done = time.monotonic(); s.close()
    return 1000 * (connected - began), 1000 * (done - began)
rtt(); times = [rtt() for _ in range(100)]
print('connect p50 %.2f p90 %.2f ms; and one byte back p50 %.2f ms (n=100)' % (statistics.median(t[0] for t in times), sorted(t[0] for t in times)[89], statistics.median(t[1] for t in times)))
rates = []
for _ in range(9):
    s = socket.create_connection((a, ${webPort})); s.sendall(b'GET /big HTTP/1.0\\r\\n\\r\\n'); began = time.monotonic(); n = 0
    b = bytearray(1 << 18)
    while got := s.recv_into(b): n += got
    rates.append(n / 1048576 / (time.monotonic() - began)); assert n >= 64 << 20
print('64 MiB down: median %.1f, least %.1f, most %.1f MiB/s (n=9)' % (statistics.median(rates), min(rates), max(rates)))
began = time.monotonic(); ok = []; socks = []
for i in range(200):
    s = socket.socket(); s.setblocking(False); s.connect_ex((a, p)); socks.append(s)
for s in socks:
    s.settimeout(20); s.sendall(b'y') if s.connect_ex((a, p)) in (0, errno.EISCONN, errno.EALREADY, errno.EINPROGRESS) and not time.sleep(0.0) else None
for s in socks:
    try: ok.append(s.recv(1) == b'y')
    except OSError: ok.append(False)
print('200 at once: %d echoed in %.2f s' % (sum(ok), time.monotonic() - began))
`));

if (gated) {
  const dying = guest(`${prelude}
s = socket.create_connection(('${host}', ${webPort})); s.sendall(b'GET /slow HTTP/1.0\\r\\n\\r\\n'); n = 0
try:
    while got := s.recv(1000): n += len(got)
    print('ended, as if complete, after', n)
except OSError as error: print('egress killed: a stream ends with', errno.errorcode[error.errno], 'after', n > 0)
print('without an egress:', tcp('10.0.2.2', ${webPort}))
`);
  await slow;
  await sleep(500);
  egress.kill('SIGKILL');
  const said = await dying;
  console.log(said);
  assert.match(said, /ECONNRESET after True\nwithout an egress: ECONNREFUSED/);
  egress = await startEgress();
  await sleep(1000);
  console.log('egress started again:', await guest(`${prelude}\nprint(tcp('${host}', ${webPort}))`));
  console.log(JSON.stringify((await ask({ get: 's' })).ok));
  console.log(`egress: ${execFileSync('ps', ['-o', 'rss=', '-p', String(egress.pid)]).toString().trim()} KiB resident`);
  console.log(readFileSync(path('log'), 'utf8').split('\n').filter((line) => line.includes('refused')).slice(0, 12).join('\n'));
}
finish(0);
