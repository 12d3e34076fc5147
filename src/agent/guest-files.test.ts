/** Files of the guest agent itself, run as a process of this host. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { claimed, startRealAgent, type RealAgent } from '../../test/support/real-agent.js';
import { AgentClient } from './client.js';
import { AgentRefused } from './errors.js';
import type { FileRange } from './operations/files.js';

const refused = (code: string) => (error: unknown) => error instanceof AgentRefused && error.code === code;
const isRoot = process.geteuid?.() === 0;

describe('files of a guest', { timeout: 120_000 }, () => {
  let agent: RealAgent;
  let client: AgentClient;
  let dir = '';
  let descriptorCount = 0;

  before(async () => {
    agent = await startRealAgent();
    client = await claimed(agent);
    await client.waitWarm();
    await delay(100);
    descriptorCount = (await readdir(`/proc/${agent.pid}/fd`)).length;
  });
  after(() => agent.close());
  beforeEach(async () => {
    dir = join(agent.dir, 'work');
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir);
  });

  const at = (name: string | Buffer): Buffer => Buffer.concat([Buffer.from(`${dir}/`), Buffer.from(name)]);
  const read = async (path: Uint8Array, range: FileRange = {}, user?: string): Promise<Buffer> => {
    const { bytes } = await client.files.read({ path, user, ...range });
    const pieces: Buffer[] = [];
    for await (const piece of bytes) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  const write = (name: string | Buffer, bytes: string | Buffer, more: object = {}) =>
    client.files.write({ path: at(name), bytes, ...more });
  const list = async (depth?: number): Promise<string[]> => {
    const names: string[] = [];
    for await (const { path } of client.files.list({ path: at(''), depth })) names.push(path.toString());
    return names.sort();
  };

  it('are written and read, whatever their names', async () => {
    const names = ['plain', '-rf', 'a\nb', 'ä😀', ' ', '*', Buffer.from([0xff, 0xfe, 1]), 'x'.repeat(255)];
    for (const name of names) {
      const { path, size, type } = await write(name, `of ${name.toString()}`);
      assert.deepEqual([path, type], [at(name), 'file']);
      const bytes = await read(at(name));
      assert.equal(bytes.toString(), `of ${name.toString()}`);
      assert.equal(size, bytes.length);
    }
    const found = new Set<string>();
    for await (const { path } of client.files.list({ path: at('') })) found.add(path.toString('hex'));
    assert.deepEqual(found, new Set(names.map((name) => Buffer.from(name).toString('hex'))));
    await assert.rejects(write('x'.repeat(256), ''), refused('file_failed'));
  });

  it('of sizes and times beyond what JSON holds exactly are told as the largest that it does', async () => {
    const most = Number.MAX_SAFE_INTEGER;
    const folder = await mkdtemp('/dev/shm/bough-large-');
    const path = join(folder, 'large');
    try {
      execFileSync('truncate', ['-s', String(2n ** 62n), path]);
      for (const [seconds, told] of [
        [2n ** 60n, most],
        [-(2n ** 60n), -most],
      ] as const) {
        execFileSync('python3', [
          '-c',
          `import os; os.utime(${JSON.stringify(path)}, (0, ${String(seconds)}))`,
        ]);
        for await (const { size, modifiedAtUnix } of client.files.list({ path: Buffer.from(folder) }))
          assert.deepEqual([size, modifiedAtUnix], [most, told]);
        assert.equal((await client.files.stat({ path: Buffer.from(path) })).modifiedAtUnix, told);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('are read in part, and not beyond what they are', async () => {
    await write('digits', '0123456789');
    const part = async (range: FileRange): Promise<string> => (await read(at('digits'), range)).toString();
    assert.equal(await part({ from: 3, length: 4 }), '3456');
    assert.equal(await part({ from: 8, length: 100 }), '89');
    assert.equal(await part({ last: 3 }), '789');
    assert.equal(await part({ last: 30 }), '0123456789');
    assert.equal(await part({ from: 10 }), '');
    assert.equal(await part({ from: 2 ** 53 }), '');
    const { file, from, isSized, close } = await client.files.read({ path: at('digits'), last: 3 });
    await close();
    assert.deepEqual([file.size, from, isSized], [10, 7, true]);
  });

  it('of a size that says nothing are read as a whole', async () => {
    const { isSized, file, close } = await client.files.read({ path: Buffer.from('/proc/self/status') });
    await close();
    assert.deepEqual([isSized, file.size], [false, 0]);
    assert.match((await read(Buffer.from('/proc/self/status'), { from: 5, length: 1 })).toString(), /^Name:/);
    const sparse = await open(at('sparse'), 'w');
    await sparse.truncate(3 << 20);
    await sparse.close();
    assert.deepEqual(await read(at('sparse')), Buffer.alloc(3 << 20));
    await writeFile(at('empty'), '');
    assert.equal((await read(at('empty'))).length, 0);
  });

  it('that are none are neither opened nor replaced', async () => {
    execFileSync('mkfifo', [at('fifo').toString()]);
    for (const path of [at('fifo'), Buffer.from('/dev/zero'), at('')]) {
      await assert.rejects(read(path), refused('not_a_file'));
      await assert.rejects(client.files.write({ path, bytes: 'x' }), refused('not_a_file'));
    }
    assert((await lstat(at('fifo'))).isFIFO());
    const { type } = await client.files.stat({ path: at('fifo') });
    assert.equal(type, 'fifo');
  });

  it('take their place as a whole, with the mode and the owner of the old one', async () => {
    await write('file', 'old', { mode: 0o640 });
    if (isRoot) await chown(at('file'), 1, 1);
    const half = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.from('new');
      await delay(100);
      assert.equal((await readFile(at('file'))).toString(), 'old');
      assert.deepEqual((await readdir(dir)).length, 2);
      yield Buffer.from(' and whole');
    };
    const before = await client.files.stat({ path: at('file') });
    const after = await client.files.write({ path: at('file'), bytes: half() });
    assert.notEqual(after.etag, before.etag);
    assert.equal((await client.files.stat({ path: at('file') })).etag, after.etag);
    assert.equal((await readFile(at('file'))).toString(), 'new and whole');
    assert.deepEqual([after.mode, after.uid], [0o640, isRoot ? 1 : process.geteuid?.()]);
    assert.deepEqual(await list(), ['file']);
    assert.equal((await write('other', '')).mode, 0o644);
    assert.equal((await write('program', '', { mode: 0o4755 })).mode, 0o4755);
    await assert.rejects(write('file', '', { exclusive: true }), refused('file_exists'));
  });

  it('are as they were when the writer goes away in the middle', async () => {
    await write('file', 'old');
    const gone = new AbortController();
    const endless = async function* (): AsyncGenerator<Buffer> {
      for (let pieces = 0; ; pieces++) {
        if (pieces === 20) gone.abort();
        yield Buffer.alloc(100_000);
        await delay(1);
      }
    };
    const writing = client.files.write({ path: at('file'), bytes: endless() }, gone.signal);
    await assert.rejects(writing, { name: 'AbortError' });
    for (let attempt = 0; attempt < 100 && (await readdir(dir)).length > 1; attempt++) await delay(20);
    assert.deepEqual(await readdir(dir), ['file']);
    assert.equal((await readFile(at('file'))).toString(), 'old');
  });

  it('are written through links, whose ends may be missing', async () => {
    await write('file', 'old');
    await symlink('file', at('link'));
    await symlink('link', at('second'));
    await write('second', 'new');
    assert.equal((await readFile(at('file'))).toString(), 'new');
    assert.equal(await readlink(at('second')), 'link');
    await symlink('nowhere', at('dangling'));
    await write('dangling', 'made');
    assert.equal((await readFile(at('nowhere'))).toString(), 'made');
    await symlink('circle', at('circle'));
    await assert.rejects(write('circle', ''), refused('file_failed'));
    const { type, target } = await client.files.stat({ path: at('link') });
    assert.deepEqual([type, target?.toString()], ['link', 'file']);
    assert.equal((await client.files.stat({ path: at('link'), follow: true })).type, 'file');
  });

  it('tell what is missing from what may not be', async () => {
    await assert.rejects(read(at('absent')), refused('no_file'));
    await assert.rejects(write('no/such/folder', ''), refused('no_file'));
    await write('file', '');
    await assert.rejects(read(at('file/below')), refused('not_a_folder'));
    await assert.rejects(write('file/', ''), refused('not_a_file'));
    await assert.rejects(client.files.stat({ path: at('file'), user: 'nobody-at-all' }), refused('no_user'));
    await assert.rejects(client.files.stat({ path: Buffer.alloc(0) }), refused('bad_request'));
    await assert.rejects(client.files.stat({ path: Buffer.from('a\0b') }), refused('bad_request'));
    await assert.rejects(client.files.stat({ path: Buffer.alloc(5000, 'a/') }), refused('file_failed'));
  });

  it('are made with the folders above them', async () => {
    await write('a/b//c/file', 'x', { parents: true });
    assert.equal((await readFile(at('a/b/c/file'))).toString(), 'x');
    const { type, mode } = await client.files.makeFolder({ path: at('d/e/'), parents: true, mode: 0o2770 });
    assert.deepEqual([type, mode], ['folder', 0o2770]);
    await client.files.makeFolder({ path: at('d/e'), parents: true });
    await assert.rejects(client.files.makeFolder({ path: at('d/e') }), refused('file_exists'));
    await assert.rejects(client.files.makeFolder({ path: at('x/y') }), refused('no_file'));
    assert.deepEqual(await list(9), ['a', 'a/b', 'a/b/c', 'a/b/c/file', 'd', 'd/e']);
    assert.deepEqual(await list(2), ['a', 'a/b', 'd', 'd/e']);
  });

  it('are moved, and take the place of others only when told to', async () => {
    await write('one', '1');
    await write('two', '2');
    const move = (to: string, more: object = {}) =>
      client.files.move({ path: at('one'), to: at(to), ...more });
    await assert.rejects(move('two'), refused('file_exists'));
    await assert.rejects(move('no/folder'), refused('no_file'));
    assert.deepEqual((await move('two', { replace: true })).path, at('two'));
    assert.deepEqual([await list(), (await readFile(at('two'))).toString()], [['two'], '1']);
    await client.files.move({ path: at('two'), to: at('deep/er'), parents: true });
    assert.deepEqual(await list(2), ['deep', 'deep/er']);
    const away = client.files.move({ path: at('deep/er'), to: Buffer.from('/dev/shm/bough-files-test') });
    await assert.rejects(away, refused('file_failed'));
  });

  it('are removed with all below them, and never behind a link', async () => {
    await write('outside/kept', 'x', { parents: true });
    await write('tree/a/b/file', '', { parents: true });
    await symlink(at('outside').toString(), at('tree/link').toString());
    await symlink('../outside/kept', at('tree/a/link'));
    const remove = (name: string, recursive = false) => client.files.remove({ path: at(name), recursive });
    await assert.rejects(remove('tree'), refused('file_exists'));
    await remove('tree', true);
    await symlink('outside', at('link'));
    await remove('link', true);
    assert.deepEqual(await list(2), ['outside', 'outside/kept']);
    await remove('outside/kept');
    await remove('outside');
    await assert.rejects(remove('outside'), refused('no_file'));
    await assert.rejects(
      client.files.remove({ path: Buffer.from('/'), recursive: true }),
      refused('not_a_file'),
    );
    await assert.rejects(remove('..', true), refused('not_a_file'));
  });

  it('are removed however many levels there are, up to a limit that is told', async () => {
    const deep = (levels: number): string => Array.from({ length: levels }, () => 'd').join('/');
    await mkdir(at(deep(900)), { recursive: true });
    assert.equal((await list(1000)).length, 900);
    await client.files.remove({ path: at('d'), recursive: true });
    await mkdir(at(deep(1010)), { recursive: true });
    await assert.rejects(client.files.remove({ path: at('d'), recursive: true }), refused('file_failed'));
  });

  it('are not listed beyond the longest path, rather than in part', async () => {
    const script = "import os\nfor _ in range(20): os.mkdir('d' * 250); os.chdir('d' * 250)";
    execFileSync('python3', ['-c', script], { cwd: dir });
    assert.equal((await list(16)).length, 16);
    await assert.rejects(list(20), refused('file_failed'));
    await client.files.remove({ path: at('d'.repeat(250)), recursive: true });
  });

  it('are what the user may see and change', { skip: !isRoot }, async () => {
    await chmod(agent.dir, 0o755);
    await write('secret', 'x', { mode: 0o600 });
    await assert.rejects(read(at('secret'), {}, 'nobody'), refused('denied'));
    await assert.rejects(write('mine', '', { user: 'nobody' }), refused('denied'));
    await client.files.makeFolder({ path: at('open'), mode: 0o777 });
    const { uid, gid } = await write('open/mine', 'x', { user: 'nobody' });
    const owner = await stat(at('open/mine'));
    assert.deepEqual([uid, gid], [owner.uid, owner.gid]);
    assert.equal(uid, Number(execFileSync('id', ['-u', 'nobody'])));
    const numbers = await write('open/numbers', '', { user: '4242:4343' });
    assert.deepEqual([numbers.uid, numbers.gid], [4242, 4343]);
    await mkdir(at('closed'), { mode: 0o700 });
    const entries = [];
    for await (const entry of client.files.list({ path: at(''), depth: 2, user: 'nobody' }))
      entries.push(entry);
    const closed = entries.find(({ path }) => path.toString() === 'closed');
    assert.equal(closed?.unreadable, true);
  });

  it('of any length pass in bounded memory, at the pace of the reader', async () => {
    const piece = Buffer.alloc(1 << 20, 'abcdefgh');
    const many = async function* (): AsyncGenerator<Buffer> {
      for (let count = 0; count < 96; count++) yield await Promise.resolve(piece);
    };
    const rssKiB = async (): Promise<number> =>
      Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${agent.pid}/status`, 'utf8'))?.[1]);
    const before = await rssKiB();
    assert.equal((await client.files.write({ path: at('large'), bytes: many() })).size, 96 << 20);
    const { bytes } = await client.files.read({ path: at('large') });
    await bytes.next();
    await delay(200);
    assert.equal((await client.ping()).pong, true);
    let count = 0;
    for await (const each of bytes) count += each.length;
    assert(count > 95 << 20);
    assert((await rssKiB()) - before < 8 << 10, `${await rssKiB()} KiB after ${before}`);
  });

  it('that become shorter while they are read do not look whole', async () => {
    await writeFile(at('shrinks'), Buffer.alloc(8 << 20, 1));
    const { bytes } = await client.files.read({ path: at('shrinks') });
    await bytes.next();
    const file = await open(at('shrinks'), 'r+');
    await file.truncate(1 << 20);
    await file.close();
    await assert.rejects(async () => {
      for await (const each of bytes) assert(each.length > 0);
    }, refused('file_failed'));
  });

  it('leave no process and no descriptor behind', async () => {
    const children = () => readFile(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8');
    for (let attempt = 0; attempt < 100 && (await children()).trim().split(' ').length > 1; attempt++)
      await delay(50);
    // The warm interpreter stays.
    assert.equal((await children()).trim().split(' ').length, 1);
    assert.equal((await readdir(`/proc/${agent.pid}/fd`)).length, descriptorCount);
  });
});
