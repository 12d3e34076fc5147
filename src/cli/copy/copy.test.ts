/** `bough cp` through a daemon to the guest agent itself, run as a process of this host. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, beforeEach, describe, it } from 'node:test';
import { agentFiles } from '../../../test/support/agent-files.js';
import { CliDaemon } from '../../../test/support/cli-daemon.js';
import type { Ran } from '../../../test/support/cli-in-process.js';
import { claimed, startRealAgent, type RealAgent } from '../../../test/support/real-agent.js';

describe('bough cp', { timeout: 120_000 }, () => {
  let agent: RealAgent;
  let daemon: CliDaemon;
  let [here, guest] = ['', ''];

  before(async () => {
    agent = await startRealAgent();
    daemon = await CliDaemon.open({ files: agentFiles(await claimed(agent)) });
    await daemon.spawn('--name', 'box');
  });
  after(async () => {
    await daemon.close();
    await agent.close();
  });
  beforeEach(async () => {
    [here, guest] = [join(agent.dir, 'here'), join(agent.dir, 'guest')];
    for (const each of [here, guest]) {
      await rm(each, { recursive: true, force: true });
      await mkdir(each);
    }
  });

  const cp = (...args: string[]): Promise<Ran> => daemon.run(['cp', ...args]);
  const copied = async (...args: string[]): Promise<void> =>
    assert.deepEqual(await cp(...args), { code: 0, stdout: '', stderr: '' });
  const refused = async (words: RegExp, ...args: string[]): Promise<void> => {
    const { code, stderr } = await cp(...args);
    assert.equal(code, 1);
    assert.match(stderr, words);
  };
  const text = (...path: string[]): Promise<string> => readFile(join(...path), 'utf8');

  for (const way of ['into a sandbox', 'out of one'] as const) {
    const isIn = way === 'into a sandbox';
    const from = (): string => (isIn ? here : guest);
    const to = (): string => (isIn ? guest : here);
    const source = (path: string): string => (isIn ? join(here, path) : `box:${join(guest, path)}`);
    // A path that is joined would lose what it ends in.
    const target = (path: string): string => (isIn ? `box:${guest}/${path}` : `${here}/${path}`);

    describe(way, () => {
      it('puts a file under a new name, over an old one, and into a folder', async () => {
        await writeFile(join(from(), 'a'), 'new', { mode: 0o750 });
        await chmod(join(from(), 'a'), 0o750);
        await copied(source('a'), target('b'));
        assert.deepEqual([await text(to(), 'b'), (await stat(join(to(), 'b'))).mode & 0o777], ['new', 0o750]);
        await writeFile(join(to(), 'old'), 'old');
        await chmod(join(to(), 'old'), 0o604);
        await copied(source('a'), target('old'));
        const old = await stat(join(to(), 'old'));
        assert.deepEqual([await text(to(), 'old'), old.mode & 0o777], ['new', 0o604]);
        await mkdir(join(to(), 'folder'));
        await copied(source('a'), target('folder'));
        await copied(source('a'), target('folder/'));
        assert.equal(await text(to(), 'folder/a'), 'new');
        assert.deepEqual((await readdir(to())).sort(), ['b', 'folder', 'old']);
      });

      it('refuses what is not there, and a folder that is not there for a file', async () => {
        await writeFile(join(from(), 'a'), 'x');
        await refused(/There is no \S*absent\n/, source('absent'), target('b'));
        await refused(/There is no folder \S*nowhere\/\n/, source('a'), target('nowhere/'));
        await refused(/There is no \S*a\/|not a folder/i, `${source('a')}/`, target('b'));
        await refused(/There is no folder \S*nowhere\n/, source('a'), target('nowhere/b'));
        await mkdir(join(from(), 'tree'));
        await refused(/There is no folder \S*nowhere\n/, source('tree'), target('nowhere/b'));
        assert.deepEqual(await readdir(to()), []);
      });

      it('makes a folder of another name, or puts it or what is in it into one that is there', async () => {
        await mkdir(join(from(), 'tree/sub'), { recursive: true });
        await writeFile(join(from(), 'tree/sub/file'), 'deep');
        await chmod(join(from(), 'tree'), 0o711);
        await copied(source('tree'), target('new'));
        assert.equal((await stat(join(to(), 'new'))).mode & 0o777, 0o711);
        await copied(source('tree'), target('new'));
        await copied(`${source('tree')}/.`, target(''));
        for (const path of ['new/sub/file', 'new/tree/sub/file', 'sub/file'])
          assert.equal(await text(to(), path), 'deep', path);
        await writeFile(join(to(), 'file'), '');
        await refused(/Cannot copy the folder .* over .*file, which is none/, source('tree'), target('file'));
      });

      it('keeps links as links, modes, times, long names and names that are not ASCII', async () => {
        const long = `${'deep/'.repeat(40)}${'ä'.repeat(60)}`;
        await mkdir(join(from(), 'tree', 'deep/'.repeat(40)), { recursive: true });
        await writeFile(join(from(), 'tree', long), 'long');
        await writeFile(join(from(), 'tree/run'), '#!', { mode: 0o755 });
        await utimes(join(from(), 'tree/run'), 1_000_000_000, 1_000_000_000);
        await symlink('/nowhere/at all', join(from(), 'tree/link'));
        await mkdir(join(from(), 'tree/shut'));
        await writeFile(join(from(), 'tree/shut/in'), 'in');
        await chmod(join(from(), 'tree/shut'), 0o500);
        await copied(source('tree'), target('to'));
        const run = await stat(join(to(), 'to/run'));
        assert.deepEqual([run.mode & 0o777, run.mtimeMs], [0o755, 1e12]);
        assert.equal(await readlink(join(to(), 'to/link')), '/nowhere/at all');
        assert.equal(await text(to(), 'to', long), 'long');
        const shut = (await stat(join(to(), 'to/shut'))).mode & 0o777;
        // Of a user other than root the agent leaves folders open to who they belong to.
        assert.equal(shut, isIn && process.getuid?.() !== 0 ? 0o700 : 0o500);
        await copied(source('tree/link'), target('alone'));
        assert.equal(await readlink(join(to(), 'alone')), '/nowhere/at all');
        for (const side of [from(), to()])
          await chmod(join(side, side === from() ? 'tree/shut' : 'to/shut'), 0o700);
      });

      it('follows a link that is the source only when it is told to', async () => {
        await writeFile(join(from(), 'file'), 'meant');
        await symlink('file', join(from(), 'link'));
        await copied('-L', source('link'), target('a'));
        assert.equal((await lstat(join(to(), 'a'))).isFile(), true);
        await mkdir(join(from(), 'folder'));
        await symlink('folder', join(from(), 'to-folder'));
        await copied(`${source('to-folder')}/`, target('b'));
        assert.equal((await lstat(join(to(), 'b'))).isDirectory(), true);
      });

      it('carries a large file whole', async () => {
        const bytes = randomBytes(9 << 20);
        await mkdir(join(from(), 'tree'));
        for (const path of ['big', 'tree/big']) await writeFile(join(from(), path), bytes);
        await copied(source('big'), target('one'));
        await copied(source('tree'), target('two'));
        for (const path of ['one', 'two/big']) assert(bytes.equals(await readFile(join(to(), path))), path);
      });
    });
  }

  it('copies from one sandbox to another', async () => {
    await mkdir(join(guest, 'a'));
    await writeFile(join(guest, 'a/file'), 'x');
    await daemon.spawn('--name', 'other');
    await copied(`box:${guest}/a`, `other:${guest}/b`);
    assert.equal(await text(guest, 'b/file'), 'x');
  });

  it('reads and writes standard input and output: bytes of a file, an archive of a folder', async () => {
    const into = (bytes: Uint8Array, target: string): Promise<Ran> =>
      daemon.run(['cp', '-', target], { io: { stdinChunks: () => Readable.from([bytes]) } });
    const bytes = Buffer.from([0, 255, 10]);
    assert.equal((await into(bytes, `box:${guest}/file`)).code, 0);
    assert.deepEqual(await readFile(join(guest, 'file')), bytes);
    assert.equal((await cp(`box:${guest}/file`, '-')).stdout, bytes.toString('latin1'));
    const archive = Buffer.from((await cp(`box:${guest}`, '-')).stdout, 'latin1');
    await mkdir(join(guest, 'again'));
    assert.deepEqual(await into(archive, `box:${guest}/again`), { code: 0, stdout: '', stderr: '' });
    assert.deepEqual(await readFile(join(guest, 'again/file')), bytes);
    assert.match((await into(bytes, `box:${guest}/absent/`)).stderr, /There is no folder/);
    assert.match((await into(bytes, `box:${guest}/absent/new`)).stderr, /There is no folder \S*absent\n/);
  });

  it('leaves the old file and nothing beside it when a copy fails in the middle', async (test) => {
    await writeFile(join(here, 'old'), 'old');
    await writeFile(join(guest, 'file'), Buffer.alloc(1 << 20));
    const read = daemon.host.files.read.bind(daemon.host.files);
    test.mock.method(daemon.host.files, 'read', async (...asked: Parameters<typeof read>) => ({
      ...(await read(...asked)),
      bytes: (async function* () {
        yield await Promise.resolve(Buffer.alloc(1000));
        throw new Error('the guest is gone');
      })(),
    }));
    const { code } = await cp(`box:${guest}/file`, join(here, 'old'));
    assert.notEqual(code, 0);
    assert.deepEqual([await text(here, 'old'), await readdir(here)], ['old', ['old']]);
  });

  it('writes to a device, and does not take its place', async () => {
    await writeFile(join(guest, 'file'), 'x');
    await copied(`box:${guest}/file`, '/dev/null');
    assert.equal((await lstat('/dev/null')).isCharacterDevice(), true);
    await refused(/neither a file nor a folder/, '/dev/null', `box:${guest}/x`);
  });

  it('refuses two sides that are none of a sandbox, and paths that are empty', async () => {
    for (const args of [['a', 'b'], ['-', '-'], ['box:', 'b'], ['', 'box:b'], ['a'], ['./box:a', '/b:c']])
      assert.equal((await cp(...args)).code, 2, args.join(' '));
  });
});
