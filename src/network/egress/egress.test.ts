import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { FakeGate } from '../../../test/support/fake-gate.js';
import type { NetworkPolicyInput } from '../../contract/index.js';
import { Egress } from './egress.js';
import { readNames } from './names-file.js';

const ADDRESSES: Readonly<Record<string, readonly string[]>> = {
  'origin.example': ['127.0.0.1'],
  'x.wild.example': ['127.0.0.1'],
  'metadata.example': ['169.254.169.254'],
};

async function everything(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

describe('Egress', () => {
  let dir = '';
  let egress: Egress;
  let gate: FakeGate;
  let origin: Server;
  let port = 0;
  const accepted: Socket[] = [];

  before(async () => {
    origin = createServer({ allowHalfOpen: true }, (socket) => {
      accepted.push(socket);
      socket.on('error', () => undefined);
      socket.pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(origin, 'listening');
    ({ port } = origin.address() as AddressInfo);
  });
  after(() => origin.close());
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-egress-'));
    await start();
  });
  afterEach(async () => {
    gate.close();
    for (const socket of accepted.splice(0)) socket.destroy();
    await egress.close();
    await rm(dir, { recursive: true });
  });

  async function start(): Promise<void> {
    egress = await Egress.open(join(dir, 'egress'), (name) => Promise.resolve(ADDRESSES[name] ?? []));
    await put({ mode: 'list', rules: [{ allow: 'host', ports: [port] }] });
    gate = await FakeGate.connect(join(dir, 'gate'));
  }
  async function ask(request: object): Promise<Record<string, unknown>> {
    const socket = connect(join(dir, 'egress'));
    socket.write(`${JSON.stringify(request)}\n`);
    const [line] = (await once(createInterface(socket), 'line')) as [string];
    socket.destroy();
    return JSON.parse(line) as Record<string, unknown>;
  }
  const put = (policy: NetworkPolicyInput, logPath = join(dir, 'log')): Promise<Record<string, unknown>> => {
    const paths = {
      socketPath: join(dir, 'gate'),
      logPath,
      namesPath: join(dir, 'names'),
    };
    return ask({ put: { sandbox: 's', ...paths, policy, presets: {} } });
  };
  const byName = (): Promise<Record<string, unknown>> =>
    put({
      mode: 'list',
      rules: [
        { allow: 'origin.example', ports: [port, 80, 443] },
        { allow: '*.wild.example', ports: [port] },
        { allow: 'metadata.example' },
        { allow: '127.0.0.1', ports: [port] },
      ],
    });
  const log = async (): Promise<Record<string, unknown>[]> =>
    (await readFile(join(dir, 'log'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const addressIn = (answer: Buffer): string => [...answer.subarray(-4)].join('.');

  it('carries what a rule allows, both ways, and says that the end is one', async () => {
    const { verdict, socket, seq } = await gate.dial('127.0.0.1', port);
    assert.equal(verdict, 'accepted');
    const sent = 'x'.repeat(3_000_000);
    socket.end(sent);
    assert.equal(await everything(socket), sent);
    assert(await gate.isEnded(seq));
    const { ok } = (await ask({ get: 's' })) as { ok: { counts: object; isSealed: boolean } };
    assert.deepEqual(ok.counts, {
      open: 0,
      connections: 1,
      refused: 0,
      queries: 1,
      bytesUp: sent.length,
      bytesDown: sent.length,
    });
    assert.equal(ok.isSealed, true);
    assert.deepEqual(
      (await log()).flatMap(({ kind, verdict, rule }) => (kind === 'dns' ? [] : [[kind, verdict, rule]])),
      [
        ['tcp', 'allowed', `allow host on ${port}`],
        ['closed', undefined, undefined],
      ],
    );
  });

  it('refuses the rest at once, with the reason in the log', async () => {
    for (const [address, wrong] of [
      ['127.0.0.1', port + 1],
      ['169.254.169.254', 80],
      ['93.184.216.34', 443],
      ['28.1.2.3', 443],
    ] as const) {
      assert.equal((await gate.dial(address, wrong)).verdict, 'refused', address);
    }
    const lines = await log();
    assert.equal(lines.length, 4);
    assert(lines.every(({ verdict, why }) => verdict === 'refused' && typeof why === 'string'));
  });

  it('says in the log what kept a name from it', async () => {
    await put({ mode: 'list', rules: [{ deny: '*.ads.example' }, { allow: 'a.example' }] });
    for (const name of ['x.ads.example', 'other.example', 'no host', 'a.example']) await gate.ask(name);
    assert.deepEqual(
      (await log()).map(({ kind, name, verdict, rule, why }) => [kind, name, verdict, rule ?? why]),
      [
        ['dns', 'x.ads.example', 'refused', 'deny *.ads.example'],
        ['dns', 'other.example', 'refused', 'no rule allows it, and the mode is list'],
        ['dns', undefined, 'refused', 'it is no name that a host can have'],
      ],
    );
  });

  it('tells a name’s own address, and connects to what the name resolves to on the host', async () => {
    await byName();
    const address = addressIn(await gate.ask('Origin.example'));
    assert.match(address, /^28\./);
    const { verdict, socket } = await gate.dial(address, port);
    assert.equal(verdict, 'accepted');
    socket.end('hello');
    assert.equal(await everything(socket), 'hello');
    assert.equal((await gate.ask('x.wild.example')).readUInt16BE(2) & 15, 0);
    assert.equal((await gate.ask('typo.wild.example')).readUInt16BE(2) & 15, 3);
    assert.equal((await gate.ask('other.example')).readUInt16BE(2) & 15, 3);
    assert.equal((await gate.ask('origin.example', 28)).readUInt16BE(6), 0);
    assert.equal((await gate.ask('host.bough.internal')).readUInt16BE(2) & 15, 0);
  });

  it('connects to no address of a name that no rule names', async () => {
    await byName();
    const address = addressIn(await gate.ask('metadata.example'));
    assert.equal((await gate.dial(address, 80)).verdict, 'refused');
    const last = (await log()).at(-1);
    assert.match(String(last?.['why']), /^private_address: it is of the kind linkLocal/);
  });

  it('cuts a connection whose client says another name', async (t) => {
    const web = createServer((socket) => socket.on('error', () => undefined).resume());
    web.listen(80, '127.0.0.1');
    const isListening = await once(web, 'listening').then(
      () => true,
      () => false,
    );
    if (!isListening) {
      t.skip('port 80 of the loopback cannot be listened on');
      return;
    }
    await put({
      mode: 'list',
      rules: [{ allow: 'origin.example' }, { allow: '127.0.0.1', ports: [80] }],
    });
    const { verdict, socket, seq } = await gate.dial(addressIn(await gate.ask('origin.example')), 80);
    assert.equal(verdict, 'accepted');
    socket.write('GET / HTTP/1.1\r\nHost: other.example\r\n\r\n');
    await everything(socket).catch(() => undefined);
    assert(!(await gate.isEnded(seq)));
    web.close();
    const told = (await log()).filter(({ why }) => why === 'the client says other.example');
    assert.equal(told.length, 1);
  });

  it('cuts, and does not end, what a new policy refuses, and leaves the rest', async () => {
    await put({ mode: 'list', rules: [{ allow: '127.0.0.1', ports: [port] }] });
    const first = await gate.dial('127.0.0.1', port);
    await put({ mode: 'list', rules: [{ allow: '127.0.0.0/8', ports: [port] }] });
    first.socket.write('still here');
    assert.equal(String(((await once(first.socket, 'data')) as [Buffer])[0]), 'still here');
    await put({ mode: 'off' });
    await everything(first.socket).catch(() => undefined);
    assert(!(await gate.isEnded(first.seq)));
    assert.equal((await gate.dial('127.0.0.1', port)).verdict, 'refused');
  });

  it('cuts a named connection when its address loses the rule that named it', async () => {
    await byName();
    const { socket, seq } = await gate.dial(addressIn(await gate.ask('origin.example')), port);
    await put({ mode: 'list', rules: [{ allow: 'origin.example', ports: [port] }] });
    await everything(socket).catch(() => undefined);
    assert(!(await gate.isEnded(seq)));
    assert.match(
      String((await log()).find(({ kind }) => kind === 'policy')?.['why']),
      /loopback|own address/,
    );
  });

  it('asks the policy that is in force when the other side has answered', async () => {
    let found: (addresses: string[]) => void = () => undefined;
    await egress.close();
    egress = await Egress.open(join(dir, 'egress'), () => new Promise((resolve) => (found = resolve)));
    await byName();
    gate = await FakeGate.connect(join(dir, 'gate'));
    const dialled = gate.dial(addressIn(await gate.ask('origin.example')), port);
    await gate.isEnded(0);
    await put({ mode: 'list', rules: [{ allow: 'other.example' }] });
    found(['127.0.0.1']);
    assert.equal((await dialled).verdict, 'refused');
  });

  it('answers and logs 300 new names a minute', async () => {
    const codes = [];
    for (let i = 0; i < 620; i++) codes.push((await gate.ask(`n${i}.example`)).readUInt16BE(2) & 15);
    assert(codes.filter((code) => code === 3).length <= 600, 'at most two minutes were begun');
    assert.equal(codes[0], 3);
    assert.equal((await log()).length, codes.filter((code) => code === 3).length);
  });

  it('says of a connection that the other side resets that it was cut', async () => {
    const { socket, seq } = await gate.dial('127.0.0.1', port);
    socket.write('x');
    await once(socket, 'data');
    accepted.at(-1)?.resetAndDestroy();
    await everything(socket).catch(() => undefined);
    assert(!(await gate.isEnded(seq)));
  });

  it('connects nobody while its log is full', async () => {
    await ask({ remove: 's' });
    await put({ mode: 'list', rules: [{ allow: 'host', ports: [port] }] }, '/dev/full');
    gate = await FakeGate.connect(join(dir, 'gate'));
    const { verdict } = await gate.dial('127.0.0.1', port);
    assert.equal(verdict, 'refused');
    const { ok } = (await ask({ get: 's' })) as { ok: { counts: { connections: number; refused: number } } };
    assert.deepEqual([ok.counts.connections, ok.counts.refused], [0, 1]);
  });

  it('refuses more connections than max_connections', async () => {
    await put({ mode: 'list', rules: [{ allow: 'host', ports: [port] }], max_connections: 2 });
    const verdicts = [];
    for (let i = 0; i < 3; i++) verdicts.push((await gate.dial('127.0.0.1', port)).verdict);
    assert.deepEqual(verdicts, ['accepted', 'accepted', 'refused']);
  });

  it('reads no faster than the guest', async () => {
    const { socket } = await gate.dial('127.0.0.1', port);
    socket.pause();
    let taken = 0;
    const flood = setInterval(() => (taken += socket.write(Buffer.alloc(1 << 20)) ? 1 : 0), 1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    clearInterval(flood);
    const { ok } = (await ask({ get: 's' })) as { ok: { counts: { open: number } } };
    assert.equal(ok.counts.open, 1);
    assert((accepted.at(-1)?.bytesRead ?? Infinity) < 64 << 20);
    socket.destroy();
  });

  it('gives no address that it could not write down, however often it is asked', async () => {
    await byName();
    await mkdir(join(dir, 'names'));
    for (let i = 0; i < 2; i++) assert.equal((await gate.ask('origin.example')).readUInt16BE(2) & 15, 2);
    await rm(join(dir, 'names'), { recursive: true });
    await writeFile(join(dir, 'names'), '["cut.example","28.');
    const address = addressIn(await gate.ask('origin.example'));
    assert.deepEqual(readNames(join(dir, 'names')), [['origin.example', address]]);
  });

  it('knows the names again after it was killed and started again', async () => {
    await byName();
    const address = addressIn(await gate.ask('origin.example'));
    gate.close();
    await egress.close();
    await start();
    await byName();
    assert.equal((await gate.dial(address, port)).verdict, 'accepted');
  });

  it('ends a connection that says what no gate would, and serves the others', async () => {
    for (const bytes of [
      'garbage garbage',
      '\x02\x01\0\0\0\0\0\0',
      '\x05\x01\0\x02\0\0\0\0ab',
      '\x01\x02\0\0\0\0\0\0',
    ]) {
      const socket = connect(join(dir, 'gate'));
      socket.on('error', () => undefined);
      socket.write(Buffer.from(bytes, 'latin1'));
      await once(socket, 'close');
    }
    assert.equal((await gate.dial('127.0.0.1', port)).verdict, 'accepted');
  });

  it('names the part of a policy that cannot be', async () => {
    const { error } = await put({ mode: 'list', rules: [{ allow: '*' }] });
    assert.deepEqual(error, {
      path: 'rules[0].allow',
      problem: 'would be every name: use the mode "internet"',
    });
  });
});
