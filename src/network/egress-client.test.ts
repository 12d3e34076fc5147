import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { FakeGate } from '../../test/support/fake-gate.js';
import { Deferred } from '../base/index.js';
import { networkPolicySchema } from '../contract/index.js';
import { EgressClient, type SandboxAtEgress } from './egress-client.js';

describe('an egress that is killed', () => {
  let dir = '';
  let origin: Server;
  let sandbox: SandboxAtEgress;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-egress-'));
    origin = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
    origin.listen(0, '127.0.0.1');
    await once(origin, 'listening');
    const { port } = origin.address() as AddressInfo;
    const rules = ['127.0.0.1', 'origin.example'].map((allow) => ({ allow, ports: [port] }));
    const paths = { socketPath: join(dir, 'gate'), logPath: join(dir, 'log'), namesPath: join(dir, 'names') };
    const policy = networkPolicySchema.parse({ mode: 'list', rules });
    sandbox = { sandbox: 's', ...paths, policy, presets: {} };
  });
  after(async () => {
    origin.close();
    await rm(dir, { recursive: true });
  });

  it('has cut what was open and lets nothing through; started again and told, it knows the names that it gave out', async () => {
    const { port } = origin.address() as AddressInfo;
    const socketPath = join(dir, 'egress');
    const lost = new Deferred<Error>();
    const client = new EgressClient({
      socketPath,
      outputPath: '/dev/null',
      onLost: (error) => lost.resolve(error),
    });
    await client.ask({ put: sandbox });
    const gate = await FakeGate.connect(sandbox.socketPath);
    const address = (await gate.ask('origin.example')).subarray(-4);
    const { verdict, socket, seq } = await gate.dial('127.0.0.1', port);
    assert.equal(verdict, 'accepted');
    socket.resume();

    const isOver = Promise.all([once(socket, 'end'), once(gate.control, 'close')]);
    process.kill(await pidOf(socketPath), 'SIGKILL');
    await isOver;
    assert.equal(gate.wasEnded(seq), false);
    socket.destroy();
    await lost.promise;
    await assert.rejects(FakeGate.connect(sandbox.socketPath), { code: 'ECONNREFUSED' });

    await client.ask({ put: sandbox });
    const again = await FakeGate.connect(sandbox.socketPath);
    assert.deepEqual((await again.ask('origin.example')).subarray(-4), address);
    const { verdict: isBack, socket: carried } = await again.dial('127.0.0.1', port);
    assert.equal(isBack, 'accepted');
    again.close();
    carried.destroy();
    process.kill(await pidOf(socketPath), 'SIGKILL');
    await client.close();
  });

  it('is nobody while it still takes connections: another one is started', async () => {
    const socketPath = join(dir, 'ends');
    const ending = createServer((socket) => {
      socket.destroy();
      ending.close();
    });
    ending.listen(socketPath);
    await once(ending, 'listening');
    const onLost = (): void => assert.fail('Nothing of use was lost');
    const client = new EgressClient({ socketPath, outputPath: '/dev/null', onLost });
    assert.equal(await client.ask({ get: 's' }), null);
    await client.close();
  });
});

async function pidOf(socketPath: string): Promise<number> {
  return Number((await execa('pgrep', ['-f', `egress/main.js ${socketPath}`])).stdout);
}
