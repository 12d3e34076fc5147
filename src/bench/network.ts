/**
 * What the gate and the egress cost a guest's connections, against QEMU's user network as it is: the same image in stock QEMU.
 *
 * Both reach the same origins on the loopback of the host, at the gateway's address, in turns; whoever is not measured does nothing.
 * A round is one download, some connections one after another, and many at once; behind the gate also some that are refused.
 *
 * Not handled: names, which only the gate has; TLS; the world's own latency, which hides all of this.
 */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { MiB, ResourceStack } from '../base/index.js';
import type { Sandbox } from '../contract/index.js';
import { failureWords, type BenchContext } from './context.js';
import { sandboxGuest, type Guest } from './guest.js';
import { egressWithIdleGates, IDLE_GATES } from './idle-gates.js';
import type { ProcessMemory } from './process-memory.js';
import {
  limitVerdict,
  ratioVerdict,
  reached,
  summaryCells,
  summaryColumns,
  type Section,
  type Verdict,
} from './section.js';
import { bootStockPeer } from './stock-peer.js';
import { summarize, type Summary } from './statistics.js';

const DOWNLOAD_MIB = 32;
const CONNECTIONS = 20;
const AT_ONCE = 200;
const REFUSED_PORT = 9;
const MAX_DOWNLOAD_RATIO = 1.25;
const MAX_CONNECT_RATIO = 2;
const MAX_REFUSED_MS = 20;
const MAX_EGRESS_MIB = 200;

/** Prints `what ms` a line. */
const PROGRAM = `
import errno, socket, sys, time
host, big, echo, refused = '10.0.2.2', *map(int, sys.argv[1:4])
now = time.monotonic
def tell(what, began): print(what, 1000 * (now() - began))
began = now(); s = socket.create_connection((host, big), 60); got = 0; b = bytearray(1 << 18)
while n := s.recv_into(b): got += n
assert got == ${DOWNLOAD_MIB} << 20, got
tell('download', began)
for _ in range(${CONNECTIONS}):
    began = now(); s = socket.create_connection((host, echo), 20); tell('connect', began)
    s.sendall(b'x'); s.recv(1); tell('first byte', began); s.close()
began = now(); all = []
for _ in range(${AT_ONCE}):
    s = socket.socket(); s.setblocking(False); s.connect_ex((host, echo)); all.append(s)
for s in all:
    s.settimeout(30)
    while True:
        try: s.sendall(b'y'); break
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EAGAIN): raise
            time.sleep(0.001)
assert all and b''.join(s.recv(1) for s in all) == b'y' * ${AT_ONCE}
tell('at once', began)
for _ in range(${CONNECTIONS} if refused else 0):
    began = now()
    try: socket.create_connection((host, refused), 20)
    except ConnectionRefusedError: tell('refused', began)
`;

const columns = ['way', 'round', 'what', 'ms', 'error'] as const;
const WAYS = ['slirp', 'gate'] as const;
const PARTS = ['download', 'connect', 'first byte', 'at once', 'refused'] as const;
type Way = (typeof WAYS)[number];

interface Row {
  readonly way: Way;
  readonly round: number;
  readonly what: string;
  readonly ms?: number;
  readonly error?: string;
}

interface Origins {
  readonly big: number;
  readonly echo: number;
}

export async function benchNetwork(context: BenchContext): Promise<Section> {
  await using resources = new ResourceStack();
  const origins = {
    big: await listening(
      createServer((socket) => socket.on('error', () => undefined).end(BIG)),
      resources,
    ),
    echo: await listening(
      createServer((socket) => void socket.on('error', () => undefined).pipe(socket)),
      resources,
    ),
  };
  const stock = await bootStockPeer(context, resources, { network: 'unrestricted' });
  await stock.rest();
  const gated = await spawnGated(context, origins, resources);
  const idle = await egressWithIdleGates(context);
  const rows: Row[] = [];
  for (let round = 1; round <= context.iterations; round++) {
    rows.push(
      ...(await measured('gate', round, sandboxGuest(context.client, gated.id, context.signal), origins)),
    );
    await stock.wake();
    rows.push(...(await measured('slirp', round, stock.guest, origins)));
    await stock.rest();
    context.say(`network: ${round} of ${context.iterations}`);
  }
  return section(context, rows, idle);
}

const BIG = Buffer.alloc(DOWNLOAD_MIB * MiB);

async function listening(server: Server, resources: ResourceStack): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  resources.defer(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function spawnGated(
  { client, sourceTag, signal }: BenchContext,
  { big, echo }: Origins,
  resources: ResourceStack,
): Promise<Sandbox> {
  const network = { mode: 'list' as const, rules: [{ allow: 'host', ports: [big, echo] }] };
  const [sandbox] = await client.sandboxes.spawn({ snapshot_tag: sourceTag, network }, { signal });
  if (sandbox === undefined) throw new Error('The daemon answered a spawn with no sandbox');
  resources.defer(() => client.sandboxes.delete(sandbox.id));
  return sandbox;
}

async function measured(way: Way, round: number, guest: Guest, { big, echo }: Origins): Promise<Row[]> {
  const refused = way === 'gate' ? REFUSED_PORT : 0;
  try {
    const printed = await guest.exec(['python3', '-c', PROGRAM, ...[big, echo, refused].map(String)]);
    return printed
      .trim()
      .split('\n')
      .map((line) => {
        const at = line.lastIndexOf(' ');
        return { way, round, what: line.slice(0, at), ms: Number(line.slice(at)) };
      });
  } catch (error) {
    return PARTS.map((what) => ({ way, round, what, error: failureWords(error) }));
  }
}

function section({ sourceTag }: BenchContext, rows: readonly Row[], idle: ProcessMemory): Section {
  const summaryOf = (way: Way, what: string) =>
    summarize(rows.filter((row) => row.way === way && row.what === what).map(({ ms }) => ms));
  const p50 = (way: Way, what: string): number | undefined => summaryOf(way, what)?.p50;
  return {
    name: 'network',
    title:
      'Connections of a guest: through the gate and the egress, and through QEMU’s user network as it is',
    conditions: [
      `snapshot ${sourceTag}; origins on the host’s loopback; ${DOWNLOAD_MIB} MiB down, ${CONNECTIONS} connections a round, ${AT_ONCE} at once`,
    ],
    tables: [
      {
        title: 'Seen by a program in the guest, ms',
        columns: ['way', 'what', ...summaryColumns],
        rows: PARTS.flatMap((what) =>
          WAYS.flatMap((way) => {
            const summary = summaryOf(way, what);
            return summary === undefined ? [] : [[way, what, ...summaryCells(summary)]];
          }),
        ),
      },
      {
        title: `The memory of an egress with ${IDLE_GATES} idle gates`,
        columns: ['what', 'MiB'],
        rows: [
          ['PSS', mebibytes(idle.pssBytes)],
          ['its own', mebibytes(idle.privateBytes)],
        ],
      },
    ],
    verdicts: reached([
      ratioVerdict(
        `${DOWNLOAD_MIB} MiB down through the gate within ${MAX_DOWNLOAD_RATIO} × the time without it, at p50`,
        p50('gate', 'download'),
        p50('slirp', 'download'),
        MAX_DOWNLOAD_RATIO,
      ),
      ratioVerdict(
        `a connection through the gate within ${MAX_CONNECT_RATIO} × the time without it, at p50`,
        p50('gate', 'connect'),
        p50('slirp', 'connect'),
        MAX_CONNECT_RATIO,
      ),
      servedVerdict(summaryOf('gate', 'at once')),
      limitVerdict(`refused within ${MAX_REFUSED_MS} ms, at p50`, p50('gate', 'refused'), MAX_REFUSED_MS),
      {
        promise: `one egress with ${IDLE_GATES} idle gates below ${MAX_EGRESS_MIB} MiB`,
        measured: `${mebibytes(idle.pssBytes)} MiB`,
        held: idle.pssBytes < MAX_EGRESS_MIB * MiB,
        decides: true,
      },
    ]),
    csv: { columns, rows: rows.map((row) => ({ ...row })) },
  };
}

const mebibytes = (bytes: number): string => (bytes / MiB).toFixed(1);

function servedVerdict(summary: Summary | undefined): Verdict | undefined {
  return (
    summary && {
      promise: `${AT_ONCE} connections at once through the gate are all served`,
      measured: `in ${summary.n - summary.failed} of ${summary.n} rounds`,
      held: summary.failed === 0,
      decides: true,
    }
  );
}
