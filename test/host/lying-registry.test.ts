/**
 * A registry that lies, stalls, breaks off or leads elsewhere, at each step of pull and push: the error says which it was, nothing is half
 * made there or here, and the next try moves only what had not arrived. No VM.
 *
 * An ordinary run tries a few misdeeds at each step, each misdeed at several; BOUGH_EVERY_MISDEED=1 tries all at all, in a minute of a
 * processor.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  BadSnapshotArchive,
  generateKey,
  IncomingSnapshot,
  pullSnapshot,
  pushSnapshot,
  readKeyring,
  RegistryFailed,
  remoteOf,
  type ByRegistryOptions,
  type Keyring,
} from '../../src/hub/index.js';
import type { RegistryProblem } from '../../src/hub/errors.js';
import { madeArchive } from '../support/made-snapshot.js';
import { misdeeds, SECRET, type MisdeedName } from '../support/misdeeds.js';
import {
  PULL_STEPS,
  PUSH_STEPS,
  scriptedRegistry,
  type Kept,
  type ScriptedRegistry,
  type Step,
} from '../support/scripted-registry.js';
import { limitMs } from '../support/time-limit.js';

/** Of a registry that says nothing. A machine too busy for it makes the same of a skopeo that is not run. */
const STALL_MS = 500;
/** skopeo waits for seconds before it tries again, which is nobody's processor time. */
const AT_ONCE = 8;

type Expected = RegistryProblem | 'no snapshot' | 'no error';

/** What each misdeed ends in, where nothing else is said below. */
const ends: Record<MisdeedName, Expected> = {
  'says nothing': 'unreachable',
  'breaks off': 'unreachable',
  'breaks off in the middle': 'unreachable',
  fails: 'failed',
  'denies it': 'denied',
  lies: 'failed',
  'leads to another address': 'failed',
  'leads to itself': 'failed',
  'sends without end': 'failed',
};

const names = Object.keys(ends) as MisdeedName[];
const EVERY = process.env['BOUGH_EVERY_MISDEED'] === '1';

/** A step of sending that begins to answer with 200, and breaks off then, has answered wrongly. */
const SENDING: readonly Step[] = ['begin', 'send', 'seal', 'publish'];

function expected(step: Step, name: MisdeedName): Expected {
  return name === 'breaks off in the middle' && SENDING.includes(step) ? 'failed' : ends[name];
}

describe(
  'a registry that does not do what it should',
  { timeout: limitMs(240_000), concurrency: AT_ONCE },
  () => {
    let dir: string;
    let archive: Buffer;
    let keyring: Keyring;
    let inner: ReturnType<typeof createServer>;
    let innerUrl: string;
    let pushed: Kept;

    before(async () => {
      dir = await mkdtemp(join(tmpdir(), 'bough-lying-'));
      await generateKey(join(dir, 'keys'));
      keyring = await readKeyring(join(dir, 'keys'));
      archive = await madeArchive(dir, {}, keyring.signer);
      inner = createServer((_request, response) => response.end(SECRET)).listen(0, '127.0.0.1');
      await once(inner, 'listening');
      innerUrl = `http://127.0.0.1:${(inner.address() as AddressInfo).port}/latest/meta-data`;
      await using honest = await scriptedRegistry();
      await push(honest, { workDir: await mkdtemp(join(dir, 'work-')) });
      pushed = honest.kept;
    });
    after(async () => {
      inner.closeAllConnections();
      inner.close();
      await rm(dir, { recursive: true });
    });

    const at = ({ address }: ScriptedRegistry): ReturnType<typeof remoteOf> =>
      remoteOf(`${address}/team/base:v1`);
    const push = (registry: ScriptedRegistry, options: ByRegistryOptions): Promise<unknown> =>
      pushSnapshot(inOne(archive), at(registry), options);
    /** Fetches it, and believes it only as a daemon would. */
    const pull = async (registry: ScriptedRegistry, options: ByRegistryOptions): Promise<void> => {
      await using pulled = await pullSnapshot(at(registry), options);
      const folder = await mkdtemp(join(dir, 'taken-'));
      const incoming = await IncomingSnapshot.open(pulled.bytes, { keyring, allowUnsigned: false });
      await incoming.unpack({
        vmstatePath: join(folder, 'vmstate'),
        memoryPath: (index) => join(folder, `memory-${index}`),
        diskPath: (index) => join(folder, `disk-${index}`),
      });
      await pulled.forget();
    };

    const outcome = async (work: Promise<unknown>): Promise<{ ended: string; words: string }> => {
      try {
        await work;
        return { ended: 'no error', words: '' };
      } catch (error) {
        if (error instanceof BadSnapshotArchive) return { ended: 'no snapshot', words: error.message };
        assert(error instanceof RegistryFailed, String(error));
        return { ended: error.kind, words: error.message };
      }
    };

    /** One misdeed at one step, and then the same against a registry that does as it should. */
    const check = async (way: 'pull' | 'push', step: Step, name: MisdeedName): Promise<void> => {
      await using registry = await scriptedRegistry(way === 'pull' ? pushed : undefined);
      const scratch = await mkdtemp(join(dir, 'work-'));
      const workDir = join(scratch, 'hub');
      await mkdir(workDir);
      const work = way === 'pull' ? pull : push;
      registry.misdeed = { step, act: misdeeds(innerUrl)[name] };
      const { ended, words } = await outcome(
        work(registry, { workDir, ...(name === 'says nothing' && { stallMs: STALL_MS }) }),
      );
      assert(!words.includes(SECRET), words);
      assert.deepEqual(await readdir(scratch), ['hub']);
      if (way === 'push') assert(!registry.kept.manifests.has('v1') || ended === 'no error');
      const arrived = way === 'pull' ? await blobsIn(workDir) : [...registry.kept.blobs.keys()];
      registry.misdeed = undefined;
      registry.takeMoved();
      await work(registry, { workDir });
      const moved = registry.takeMoved();
      assert.deepEqual(
        moved.filter((digest) => arrived.includes(digest)),
        [],
      );
      assert(registry.kept.manifests.has('v1'));
      assert.deepEqual(await readdir(workDir), ['lock']);
      assert.equal(ended, expected(step, name), words);
    };

    for (const [way, steps] of [
      ['pull', PULL_STEPS],
      ['push', PUSH_STEPS],
    ] as const)
      for (const [row, step] of steps.entries())
        for (const [column, name] of names.entries())
          if (EVERY || (row + column) % 5 === 0)
            it(`${name} at "${step}" of a ${way}`, () => check(way, step, name));
  },
);

/** Those that are whole. */
async function blobsIn(workDir: string): Promise<string[]> {
  const names = await readdir(join(workDir, 'arriving/blobs/sha256')).catch(() => []);
  return names.map((name) => `sha256:${name}`);
}

async function* inOne(bytes: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(bytes);
}
