/** HTTPS: what is shown, to whom, and what becomes of a certificate that changes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { connect as connectPlainly } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect, type TLSSocket } from 'node:tls';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { WebSocket } from 'ws';
import { Events, type EventName } from '../../src/contract/index.js';
import { ConfigError, loadConfig } from '../../src/daemon/config.js';
import { serve, type Daemon } from '../../src/daemon/serve.js';

import { AUTHORITY, ONE, TWO, type Pair } from '../support/certificates.js';
import { runInProcess } from '../support/cli-in-process.js';
import { fakeHost } from '../support/fake-host.js';
import { silent } from './support.js';

const PROJECT_DIR = join(import.meta.dirname, '../../..');

describe('a daemon with a certificate', () => {
  let dir = '';
  let daemon: Daemon | undefined;
  const told: EventName[] = [];
  before(async () => (dir = await mkdtemp(join(tmpdir(), 'bough-tls-'))));
  after(() => rm(dir, { recursive: true }));
  afterEach(async () => {
    await daemon?.close();
    told.length = 0;
  });

  const files = () => ({ tlsCert: join(dir, 'cert.pem'), tlsKey: join(dir, 'key.pem') });
  const write = async ({ cert, key }: Partial<Pair>): Promise<void> => {
    if (cert !== undefined) await writeFile(files().tlsCert, cert);
    if (key !== undefined) await writeFile(files().tlsKey, key);
  };
  const start = async (certificate: Pair): Promise<number> => {
    await write(certificate);
    const events = new Events();
    events.subscribe(({ name }) => told.push(name));
    const config = loadConfig({ listen: '127.0.0.1:0', stateDir: dir, ...files() }, {});
    daemon = await serve(config, fakeHost(), { log: silent, drainMs: 50, events });
    return Number(new URL(daemon.address).port);
  };
  const ask = async (port: number, options: RequestOptions, body?: string): Promise<IncomingMessage> => {
    const asked = request({ host: '127.0.0.1', port, ca: AUTHORITY, agent: false, ...options });
    asked.end(body);
    return ((await once(asked, 'response')) as [IncomingMessage])[0];
  };
  const shown = async (port: number): Promise<unknown> => {
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', ca: AUTHORITY });
    await once(socket, 'secureConnect');
    const { subject } = socket.getPeerCertificate();
    socket.destroy();
    return subject.CN;
  };
  const afterLooking = async (): Promise<EventName | undefined> => {
    const before = told.length;
    process.emit('SIGHUP');
    while (told.length === before) await delay(5);
    return told.at(-1);
  };

  it('answers over TLS, sockets and upgrades that are none included, and nothing else', async () => {
    const port = await start(ONE);
    assert.match(daemon?.address ?? '', /^https:/);
    assert.equal(await text(await ask(port, { path: '/healthz' })), '{"ok":true}');
    const h2c = { connection: 'upgrade', upgrade: 'h2c', 'content-type': 'application/json' };
    const spawned = await ask(
      port,
      { method: 'POST', path: '/v1/sandboxes', headers: h2c },
      '{"snapshot_tag":"base"}',
    );
    const [{ id }] = JSON.parse(await text(spawned)) as [{ id: string }];
    const socket = new WebSocket(`wss://127.0.0.1:${port}/v1/sandboxes/${id}/ports/1`, { ca: AUTHORITY });
    assert.equal((await once(socket, 'close'))[0], 1011);
    await assert.rejects(ask(port, { path: '/healthz', ca: undefined }), /certificate/);
    const plain = connectPlainly(port, '127.0.0.1', () =>
      plain.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    );
    plain.resume().on('error', () => undefined);
    await once(plain, 'close');
    assert.equal(await text(await ask(port, { path: '/healthz' })), '{"ok":true}');
  });

  it('shows a new one once it is whole, and the earlier one as long as the files do not fit', async () => {
    const port = await start(ONE);
    assert.equal(await shown(port), 'one');
    await write({ cert: TWO.cert });
    assert.equal(await afterLooking(), 'certificate.not-reloaded');
    assert.equal(await shown(port), 'one');
    await write({ key: TWO.key });
    assert.equal(await afterLooking(), 'certificate.reloaded');
    assert.equal(await shown(port), 'two');
    await rm(files().tlsKey);
    assert.equal(await afterLooking(), 'certificate.not-reloaded');
    assert.equal(await shown(port), 'two');
  });

  it('does not start without one that can be used', async () => {
    const refused = (problem: RegExp) => (error: unknown) =>
      error instanceof ConfigError && problem.test(error.message);
    await assert.rejects(start({ cert: ONE.cert, key: TWO.key }), refused(/key values mismatch/));
    await assert.rejects(
      start({ cert: Buffer.from('none'), key: ONE.key }),
      refused(/Cannot use the certificate/),
    );
    assert.throws(() => loadConfig({ tlsCert: '/a' }, {}), /--tls-cert and --tls-key go together/);
  });

  it('is reached by the command line, which trusts the certificates it is given', async () => {
    await start(ONE);
    const caFile = join(dir, 'ca.pem');
    await writeFile(caFile, AUTHORITY);
    const env = { BOUGH_URL: daemon?.address ?? '' };
    const named = await runInProcess(['snapshots', '-q', '--tls-ca', caFile], { env });
    assert.deepEqual([named.code, named.stdout], [0, 'base\n']);
    assert.equal(
      (await runInProcess(['snapshots', '-q'], { env: { ...env, BOUGH_TLS_CA: caFile } })).code,
      0,
    );
    assert.equal((await runInProcess(['snapshots', '-q'], { env })).code, 3);
    const wrong = await runInProcess(['snapshots', '--tls-ca', files().tlsKey], { env });
    assert.deepEqual([wrong.code, wrong.stderr.includes('it holds no certificate')], [2, true]);
  });

  it('is reached by the Python client and by the SDK, which trust what their environment names', async () => {
    await start(ONE);
    const caFile = join(dir, 'ca.pem');
    await writeFile(caFile, AUTHORITY);
    const env = { BOUGH_URL: daemon?.address ?? '', PYTHONPATH: join(PROJECT_DIR, 'clients/python/src') };
    const python = ['-B', '-c', 'import bough; print(bough.Bough().version()["api"])'];
    const sdk = `import { Bough } from 'bough/sdk'; console.log((await new Bough().version()).api);`;
    for (const [program, args, trusting] of [
      ['python3', python, { BOUGH_TLS_CA: caFile }],
      [process.execPath, ['--input-type=module', '-e', sdk], { NODE_EXTRA_CA_CERTS: caFile }],
    ] as const) {
      const run = (more: object) =>
        execa(program, args, { cwd: PROJECT_DIR, env: { ...env, ...more }, reject: false });
      assert.equal((await run(trusting)).stdout, 'v1');
      const untrusting = await run({});
      assert.match(untrusting.stderr, /BoughUnreachable/);
    }
  });
});
