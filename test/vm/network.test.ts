import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import { networkPolicySchema, type NetworkPolicyInput } from '../../src/contract/index.js';
import { openHost } from '../../src/sandbox/host/open-host.js';
import { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { NameServer } from '../support/name-server.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

/** Prints what came of each connection. */
const TRY = `
import errno, socket, sys
for target in sys.argv[1:]:
    host, port = target.rsplit(':', 1)
    try:
        s = socket.create_connection((host, int(port)), 10)
        s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
        print(s.makefile().read().split('\\n')[-1])
    except socket.gaierror: print('no such name')
    except OSError as error: print(errno.errorcode.get(error.errno, error))
`;
/** Reads a stream that never ends and writes down how it ended nevertheless. */
const HOLD = `
import errno, socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10); s.settimeout(None)
s.sendall(b'GET /slow HTTP/1.0\\r\\n\\r\\n')
try:
    while s.recv(1000): open('/root/' + sys.argv[3] + '.lines', 'a').write('x')
    how = 'ended'
except OSError as error: how = errno.errorcode[error.errno]
open('/root/' + sys.argv[3], 'w').write(how)
`;

/** Talks to itself, by the loopback and by its own address, and writes down what ends that. */
const INSIDE = `
import socket, time
server = socket.create_server(('', 7000))
pairs = []
for host in ('127.0.0.1', '10.0.2.15'):
    client = socket.create_connection((host, 7000))
    pairs.append((client, server.accept()[0]))
try:
    while True:
        for one, other in pairs:
            one.sendall(b'x'); other.recv(1); other.sendall(b'y'); one.recv(1)
        open('/root/inside.lines', 'a').write('x')
        time.sleep(0.05)
except OSError as error: open('/root/inside', 'w').write(str(error))
`;

describe('a sandbox with a network', { timeout: 400_000 }, () => {
  let lab: Lab;
  let names: NameServer;
  let web: Server;
  let port = 0;
  before(async () => {
    web = createServer((request, response) => {
      if (request.url !== '/slow') return void response.end('hello');
      const timer = setInterval(() => response.write('line\n'), 50);
      response.on('close', () => clearInterval(timer));
    });
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    ({ port } = web.address() as AddressInfo);
    names = await NameServer.open({ 'origin.example': '127.0.0.1', 'metadata.example': '169.254.169.254' });
    lab = await Lab.open('network', { dnsServers: [names.address] });
  });
  afterEach(() => lab.clean());
  after(async () => {
    web.closeAllConnections();
    web.close();
    names.close();
    await lab.close();
  });

  const listed = (): NetworkPolicyInput => ({
    mode: 'list',
    rules: [
      { allow: 'origin.example', ports: [port] },
      { allow: '*.wild.example', ports: [port] },
      { allow: '127.0.0.1', ports: [port] },
    ],
  });
  const spawnListed = (tag = TEMPLATE_TAG): Promise<Guest> => lab.spawn(tag, listed());
  const outcomes = async (guest: Guest, ...targets: string[]): Promise<string[]> => {
    const { stdout, stderr, exit_code } = await guest.exec(['python3', '-c', TRY, ...targets]);
    assert.equal(exit_code, 0, stderr);
    return stdout.trim().split('\n');
  };
  const logOf = async (guest: Guest): Promise<Record<string, unknown>[]> =>
    (await readFile(join(lab.folders.stateDir, 'sandboxes', guest.id, 'network.log'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const egressPid = async (): Promise<number> => {
    const { stdout } = await execa('pgrep', ['-f', `egress/main.js ${lab.folders.hotDir}/egress`]);
    return Number(stdout);
  };
  /** How a stream that was held in the guest ended; waits for that. */
  const ended = (guest: Guest, name: string): Promise<string> =>
    guest.shell(`for i in $(seq 100); do [ -e /root/${name} ] && break; sleep 0.1; done; cat /root/${name}`);
  const hold = async (guest: Guest, name: string): Promise<void> => {
    await guest.start(HOLD, 'origin.example', port, name);
    await guest.shell(`until [ -s /root/${name}.lines ]; do sleep 0.05; done`);
  };

  it('reaches what a rule allows, by name and by address, and nothing else; without one it reaches nothing', async () => {
    const guest = await spawnListed();
    const targets = [`origin.example:${port}`, `10.0.2.2:${port}`, 'origin.example:22', 'typo.example:80'];
    const others = ['x.wild.example:80', 'metadata.example:80', '169.254.169.254:80', '93.184.216.34:443'];
    assert.deepEqual(await outcomes(guest, ...targets), ['hello', 'hello', 'ECONNREFUSED', 'no such name']);
    assert.deepEqual(await outcomes(guest, ...others), [
      ...['no such name', 'no such name', 'ECONNREFUSED', 'ECONNREFUSED'],
    ]);
    const { connections, refused } = await lab.host.network(guest.id);
    assert.deepEqual([connections, refused], [2, 3]);
    const refusals = (await logOf(guest)).filter(
      ({ kind, verdict }) => kind === 'tcp' && verdict === 'refused',
    );
    assert.equal(refusals.length, 3);
    for (const { why } of refusals) assert.equal(typeof why, 'string');
    assert(
      names.asked.every((name) => ['origin.example', 'x.wild.example'].includes(name)),
      names.asked.join(),
    );

    const without = await lab.spawn();
    assert.match(
      (await outcomes(without, `10.0.2.2:${port}`)).join(),
      /^E(NETUNREACH|HOSTUNREACH|CONNREFUSED)|timed out/,
    );
    assert.equal((await lab.host.getSandbox(without.id)).networkMode, 'none');
    await assert.rejects(lab.host.setNetwork(without.id, networkPolicySchema.parse(listed())), {
      code: 'network_fixed',
    });
  });

  it('takes another policy while it runs: what that refuses is cut, what it allows works at once', async () => {
    const guest = await lab.spawn(TEMPLATE_TAG, { mode: 'off' });
    assert.deepEqual(await outcomes(guest, `10.0.2.2:${port}`), ['ECONNREFUSED']);
    await lab.host.setNetwork(guest.id, networkPolicySchema.parse(listed()));
    await hold(guest, 'held');
    await lab.host.setNetwork(guest.id, networkPolicySchema.parse({ mode: 'off' }));
    assert.equal(await ended(guest, 'held'), 'ECONNRESET');
    assert.deepEqual(await outcomes(guest, `10.0.2.2:${port}`), ['ECONNREFUSED']);
  });

  it('is branched with its policy and its names, and its connections go on', async () => {
    const source = await spawnListed();
    await hold(source, 'held');
    const address = await source.shell('getent hosts origin.example | cut -d" " -f1');
    const tag = await lab.branch(source);
    const before = Number(await source.shell('stat -c %s /root/held.lines'));
    const child = await lab.spawn(tag);
    assert.deepEqual(await outcomes(child, `${address}:${port}`, '10.0.2.2:22'), ['hello', 'ECONNREFUSED']);
    assert.equal((await lab.host.network(child.id)).connections, 1);
    await sleep(300);
    assert(Number(await source.shell('stat -c %s /root/held.lines')) > before);
    await source.shell('! [ -e /root/held ]');
    const [closed] = await lab.host.spawn({
      snapshotTag: tag,
      count: 1,
      network: networkPolicySchema.parse({ mode: 'none' }),
    });
    assert.equal(closed?.networkMode, 'none');
  });

  it('has children whose inherited connections fail at once, besides those inside them', async () => {
    const source = await spawnListed();
    await hold(source, 'held');
    await source.start(INSIDE);
    await source.shell('until [ -s /root/inside.lines ]; do sleep 0.05; done');
    const child = await lab.spawn(await lab.branch(source));
    // Its kernel may have had something to say on it, and was answered that nobody knows it.
    assert.match(await ended(child, 'held'), /^ECONN(ABORTED|RESET)$/);
    const goesOn =
      'before=$(stat -c %s /root/inside.lines); sleep 1; [ $(stat -c %s /root/inside.lines) -gt $before ] && ! [ -e /root/inside ]';
    await child.shell(goesOn);
    await source.shell(`! [ -e /root/held ] && ${goesOn}`);
    assert.deepEqual(await outcomes(child, `origin.example:${port}`), ['hello']);
  });

  it('is cut, not ended, when the egress is killed, and connects again once that is back', async () => {
    const guest = await spawnListed();
    await hold(guest, 'held');
    process.kill(await egressPid(), 'SIGKILL');
    assert.equal(await ended(guest, 'held'), 'ECONNRESET');
    while (!lab.events.some(({ event }) => event === 'egress.restored')) await sleep(20);
    // Its gate tries again and again.
    while ((await outcomes(guest, `origin.example:${port}`))[0] !== 'hello') await sleep(50);
  });

  it('keeps its connections and its policy while daemons come and go', async () => {
    const guest = await spawnListed();
    await hold(guest, 'held');
    const pid = await egressPid();
    await lab.host.close();
    assert.equal(await egressPid(), pid);
    lab.host = await openHost({
      ...lab.folders,
      dnsServers: [names.address],
      maxConcurrentBranches: 4,
      emit: () => undefined,
    });
    assert.equal(await egressPid(), pid);
    const again = Guest.ofHost(lab.host, guest.id);
    assert.deepEqual(await outcomes(again, `origin.example:${port}`, '10.0.2.2:22'), [
      'hello',
      'ECONNREFUSED',
    ]);
    await again.shell('! [ -e /root/held ]');
    await lab.host.setNetwork(guest.id, networkPolicySchema.parse({ mode: 'off' }));
    assert.equal(await ended(again, 'held'), 'ECONNRESET');
  });
});
