import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { Deferred } from '../../base/index.js';
import { networkPolicySchema, type EventName, type NetworkPolicyInput } from '../../contract/index.js';
import { Networks } from './networks.js';
import { sandboxPaths } from './paths.js';
import { Secrets } from './secrets.js';

interface Told {
  readonly put?: { readonly sandbox: string; readonly policy: NetworkPolicyInput };
  readonly secrets?: object;
}

/** Networks, and what an egress that answers as `answer` says was told of them, in order. */
async function withEgress(t: TestContext, answer: (told: Told) => unknown = () => undefined) {
  const dir = await mkdtemp(join(tmpdir(), 'bough-networks-'));
  const tiers = { stateDir: join(dir, 'state'), hotDir: join(dir, 'hot') };
  for (const folder of Object.values(tiers)) await mkdir(folder);
  const told: Told[] = [];
  const sockets = new Set<Socket>();
  const serve = async (socket: Socket): Promise<void> => {
    sockets.add(socket);
    for await (const line of createInterface(socket)) {
      const request = JSON.parse(line) as Told;
      told.push(request);
      const problem = await answer(request);
      socket.write(`${JSON.stringify(problem === undefined ? { ok: null } : { error: { problem } })}\n`);
    }
  };
  const server = createServer((socket) => void serve(socket));
  server.listen(join(tiers.hotDir, 'egress'));
  await once(server, 'listening');
  const events = new Deferred<EventName>();
  const networks = new Networks({
    ...{ tiers, presets: {}, secrets: new Secrets('/nowhere') },
    emit: (name) => events.resolve(name),
  });
  t.after(async () => {
    await networks.close();
    for (const socket of sockets) socket.destroy();
    server.close();
    await rm(dir, { recursive: true });
  });
  return { networks, told, event: events.promise, paths: (id: string) => sandboxPaths(tiers, id) };
}

const policyOf = (more: Partial<NetworkPolicyInput>) =>
  networkPolicySchema.parse({ mode: 'internet', ...more });

it('replace() leaves the later of two policies in force, whatever each of them takes', async (t) => {
  const [asked, read] = [new Deferred<undefined>(), new Deferred<undefined>()];
  const { networks, told, paths } = await withEgress(t, ({ secrets }) => {
    asked.resolve(undefined);
    return secrets && read.promise;
  });
  const wide = networks.replace(paths('a'), policyOf({ secrets: ['key'] }));
  await asked.promise;
  const off = networks.replace(paths('a'), policyOf({ mode: 'off' }));
  read.resolve(undefined);
  await Promise.all([wide, off]);
  assert.equal(told.findLast(({ put }) => put !== undefined)?.put?.policy.mode, 'off');
});

it('certificate() starts the egress that somebody else only looks for', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'bough-networks-'));
  t.after(() => rm(dir, { recursive: true }));
  const networks = new Networks({
    tiers: { stateDir: dir, hotDir: dir },
    ...{ presets: {}, secrets: await Secrets.open(join(dir, 'secrets')) },
    emit: () => undefined,
  });
  t.after(() => networks.close());
  const looking = networks.restore();
  assert.match(await networks.certificate(), /BEGIN CERTIFICATE/);
  await looking;
});

it('restore() tells of all sandboxes, also after one that is refused', async (t) => {
  const { networks, told, paths, event } = await withEgress(t, ({ put }) =>
    put?.sandbox === 'a' ? 'its disk is full' : undefined,
  );
  for (const id of ['a', 'b']) networks.adopt(paths(id), policyOf({}));
  await networks.restore();
  assert.equal(await event, 'egress.not-restored');
  assert.deepEqual(
    told.flatMap(({ put }) => put?.sandbox ?? []),
    ['a', 'b'],
  );
});

it('checked() takes what was said, and without a word what the daemon has for such', async () => {
  const tiers = { stateDir: '/nowhere', hotDir: '/nowhere' };
  const made = (isOffByDefault?: boolean) =>
    new Networks({
      tiers,
      presets: {},
      secrets: new Secrets('/nowhere'),
      emit: () => undefined,
      ...(isOffByDefault && { isOffByDefault }),
    });
  const none = networkPolicySchema.parse({ mode: 'none' });
  const secret = networkPolicySchema.parse({ mode: 'internet', secrets: ['absent'] });
  const list = networkPolicySchema.parse({ mode: 'list', rules: [{ allow: 'a.example' }] });
  for (const [networks, unsaid] of [
    [made(), undefined],
    [made(true), 'off'],
  ] as const) {
    assert.equal(networks.checked(undefined)?.mode, unsaid);
    assert.equal(networks.checked(none), undefined);
    assert.equal(networks.checked(list), list);
    assert.throws(() => networks.checked(secret), { code: 'secret_not_found' });
    await networks.close();
  }
});
