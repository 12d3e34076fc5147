/** Trees of the guest agent itself, run as a process of this host, against the tar of this host. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { claimed, startRealAgent, type RealAgent } from '../../test/support/real-agent.js';
import { AgentClient } from './client.js';
import { AgentRefused } from './errors.js';

const refused = (code: string) => (error: unknown) => error instanceof AgentRefused && error.code === code;
const BLOCK_BYTES = 512;

/** A header of ustar with whatever is in it. */
function header(name: string, { type = '0', size = 0, target = '' } = {}): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(name, 0);
  block.write('0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  block.write('00000000000\0        ', 136);
  block.write(type, 156);
  block.write(target, 157);
  block.write('ustar\x0000', 257);
  const sum = block.reduce((all, byte) => all + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

const END = Buffer.alloc(2 * BLOCK_BYTES);

describe('trees of a guest', { timeout: 120_000 }, () => {
  let agent: RealAgent;
  let client: AgentClient;
  let dir = '';

  before(async () => {
    agent = await startRealAgent();
    client = await claimed(agent);
  });
  after(() => agent.close());
  beforeEach(async () => {
    dir = join(agent.dir, 'work');
    await rm(dir, { recursive: true, force: true });
    await mkdir(join(dir, 'in'), { recursive: true });
    await mkdir(join(dir, 'out'));
  });

  const at = (name: string): string => join(dir, name);
  const pack = async (name: string): Promise<Buffer> => {
    const pieces: Buffer[] = [];
    for await (const piece of await client.files.pack({ path: Buffer.from(at(name)) })) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  const unpack = (bytes: Buffer, name = 'out', more: object = {}): Promise<number> =>
    client.files.unpack({ path: Buffer.from(at(name)), bytes, ...more });
  const plant = async (): Promise<void> => {
    await mkdir(at('in/a/b'), { recursive: true });
    await writeFile(at('in/a/b/file'), 'x'.repeat(1000));
    await writeFile(at(`in/${'long'.repeat(60)}`), 'long');
    await writeFile(Buffer.concat([Buffer.from(at('in/')), Buffer.from([0xff, 10, 0xfe])]), 'odd');
    await writeFile(at('in/empty'), '');
    await chmod(at('in/empty'), 0o4711);
    await symlink('../nowhere', at('in/a/link'));
    execFileSync('mkfifo', [at('in/fifo')]);
    await utimes(at('in/a/b/file'), 1_600_000_000, 1_600_000_000);
  };
  const listing = (name: string): string =>
    execFileSync('find', ['.', '-printf', '%P %y %m %s %l\n'], { cwd: at(name), encoding: 'latin1' })
      .split('\n')
      .filter((line) => !/^(\S+ )?d /.test(line.replace(/ d (\d+) \d+ $/, ' d $1 ')))
      .sort()
      .join('\n');

  it('are refused where they are none, however often, and the next call is answered', async () => {
    for (let count = 0; count < 150; count++)
      await assert.rejects(pack('absent'), (error: unknown) => error instanceof AgentRefused);
    assert.equal((await client.ping()).pong, true);
  });

  it('come back as they were', async () => {
    await plant();
    assert.equal(await unpack(await pack('in')), 8);
    assert.equal(listing('out'), listing('in'));
    assert.equal((await lstat(at('out/a/b/file'))).mtimeMs, 1_600_000_000_000);
    execFileSync('diff', ['-r', '--exclude=fifo', '--no-dereference', at('in'), at('out')]);
  });

  it('are read by the tar of this host, and read what it writes in any of its formats', async () => {
    await plant();
    execFileSync('tar', ['-x', '-p', '-C', at('out')], { input: await pack('in') });
    assert.equal(listing('out'), listing('in'));
    for (const format of ['gnu', 'pax', 'ustar', 'v7']) {
      await rm(at('in'), { recursive: true });
      await rm(at('out'), { recursive: true });
      await mkdir(at('in/a/b'), { recursive: true });
      await mkdir(at('out'));
      await writeFile(at('in/a/b/file'), 'content');
      await symlink('b/file', at('in/a/link'));
      if (format === 'gnu' || format === 'pax') {
        await writeFile(at(`in/${'long'.repeat(60)}`), 'long');
        await symlink('far/'.repeat(80), at('in/far'));
      }
      execFileSync('ln', [at('in/a/b/file'), at('in/second')]);
      const archive = execFileSync('tar', ['-c', `--format=${format}`, '-C', at('in'), '.']);
      await unpack(archive);
      execFileSync('diff', ['-r', '--no-dereference', at('in'), at('out')]);
      assert.equal((await lstat(at('out/second'))).nlink, 2, format);
    }
  });

  it('keep times before 1970, those of other writers too', async () => {
    const times = { old: -86_400, older: -4_000_000_000, epoch: 0, late: 5_000_000_000 };
    const secondsOf = async (folder: string): Promise<Record<string, number>> => {
      const names = Object.keys(times);
      const infos = await Promise.all(names.map((name) => lstat(at(`${folder}/${name}`))));
      return Object.fromEntries(names.map((name, index) => [name, (infos[index]?.mtimeMs ?? NaN) / 1000]));
    };
    for (const name of Object.keys(times)) {
      await writeFile(at(`in/${name}`), '');
      execFileSync('touch', ['-d', `@${String(times[name as keyof typeof times])}`, at(`in/${name}`)]);
    }
    const expected = await secondsOf('in');
    await unpack(await pack('in'));
    assert.deepEqual(await secondsOf('out'), expected);
    execFileSync('touch', ['-d', '@-7.5', at('in/epoch')]);
    for (const format of ['gnu', 'pax']) {
      await unpack(execFileSync('tar', ['-c', `--format=${format}`, '-C', at('in'), '.']));
      assert.deepEqual(await secondsOf('out'), { ...expected, epoch: -8 }, format);
    }
  });

  it('put nothing outside of their folder, whatever an archive says', async () => {
    await symlink('../victim', at('out/planted'));
    await mkdir(at('victim'));
    const file = (name: string): Buffer[] => [header(name), END];
    for (const [name, archive] of Object.entries({
      'a name that goes up': file('../victim/x'),
      'a name that goes up later': file('a/../../victim/x'),
      'a link that was there': file('planted/x'),
      'a link of the archive': [header('up', { type: '2', target: '../victim' }), ...file('up/x')],
      'an absolute link of it': [header('up', { type: '2', target: at('victim') }), ...file('up/x')],
      'a hard link out': [header('hard', { type: '1', target: '../victim/y' }), END],
      'a device': [header('device', { type: '3' }), END],
      'the folder itself': [header('.'), END],
      'two dots': file('..'),
    }))
      await assert.rejects(unpack(Buffer.concat(archive)), AgentRefused, name);
    assert.deepEqual(await readdir(at('victim')), []);
    // Absolute names are taken as below the folder, and a link gives way instead of being written through.
    await unpack(
      Buffer.concat([header('/abs', { size: 3 }), Buffer.from('abc'.padEnd(BLOCK_BYTES, '\0')), END]),
    );
    await unpack(Buffer.concat([header('planted', { size: 0 }), END]));
    assert.equal((await readFile(at('out/abs'))).toString(), 'abc');
    assert((await lstat(at('out/planted'))).isFile());
  });

  it('that are damaged or cut off are refused', async () => {
    await plant();
    const archive = await pack('in');
    const spoilt = Buffer.from(archive);
    spoilt[3] = (spoilt[3] ?? 0) ^ 1;
    await assert.rejects(unpack(spoilt), refused('bad_archive'));
    for (const length of [0, 100, BLOCK_BYTES, archive.length - END.length])
      await assert.rejects(unpack(archive.subarray(0, length)), refused('bad_archive'), String(length));
    await assert.rejects(unpack(Buffer.from('{"not": "tar"}'.padEnd(2000))), refused('bad_archive'));
    await assert.rejects(unpack(archive, 'absent'), refused('no_file'));
    await unpack(archive, 'absent/deep', { parents: true });
    assert.equal(await readlink(at('absent/deep/a/link')), '../nowhere');
    await writeFile(at('file'), '');
    await assert.rejects(pack('file'), refused('not_a_folder'));
  });

  it('of a lot of bytes pass in bounded memory', async () => {
    await writeFile(at('in/large'), Buffer.alloc(64 << 20, 7));
    const peakKiB = async (): Promise<number> =>
      Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${agent.pid}/status`, 'utf8'))?.[1]);
    const before = await peakKiB();
    const bytes = await client.files.pack({ path: Buffer.from(at('in')) });
    await client.files.unpack({ path: Buffer.from(at('out')), bytes });
    assert.equal((await lstat(at('out/large'))).size, 64 << 20);
    assert((await peakKiB()) - before < 8 << 10);
  });
});
