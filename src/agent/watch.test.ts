/** Changes of files, told by the guest agent itself, run as a process of this host. */
import assert from 'node:assert/strict';
import { mkdir, rename, rm, symlink, unlink, utimes, writeFile } from 'node:fs/promises';
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { claimed, startRealAgent, type RealAgent } from '../../test/support/real-agent.js';
import type { AgentClient } from './client.js';
import { AgentRefused } from './errors.js';
import type { WatchNews } from './operations/watch.js';

const MAX_FOLDERS = 4096;
/** What the kernel keeps for who reads slowly, unless it is told otherwise. */
const MAX_QUEUED = 16_384;

describe('a watch', { timeout: 120_000 }, () => {
  let agent: RealAgent;
  let client: AgentClient;
  let dir = '';
  const open = new Set<AsyncGenerator<WatchNews, void, undefined>>();

  before(async () => {
    agent = await startRealAgent();
    client = await claimed(agent);
  });
  after(() => agent.close());
  beforeEach(async () => {
    for (const news of open) await news.return();
    dir = join(agent.dir, 'work');
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir);
  });

  const watch = async (
    recursive = false,
    path = dir,
  ): Promise<{ folders: number; news: AsyncGenerator<WatchNews, void, undefined> }> => {
    const news = client.files.watch({ path: Buffer.from(path), recursive });
    open.add(news);
    const first = (await news.next()).value;
    assert(first?.type === 'watching');
    return { folders: first.folders, news };
  };
  const told = (news: WatchNews): string => {
    if ('isFolder' in news) return `${news.type} ${news.path.toString()}${news.isFolder ? '/' : ''}`;
    return news.type === 'unwatched' ? `unwatched ${news.path.toString()}` : news.type;
  };
  /** All that is told until that is. */
  const until = async (news: AsyncGenerator<WatchNews, void, undefined>, last: string): Promise<string[]> => {
    const all: string[] = [];
    for (;;) {
      const { done, value } = await news.next();
      if (done === true) assert.fail(`it ended after ${all.join(', ')}`);
      all.push(told(value));
      if (all.at(-1) === last) return all;
    }
  };

  it('tells what is created, written, removed and renamed, and changes of metadata, in that folder alone', async () => {
    await mkdir(join(dir, 'sub'));
    const { folders, news } = await watch();
    assert.equal(folders, 1);
    await writeFile(join(dir, 'sub/unseen'), '');
    await writeFile(join(dir, 'a'), 'x');
    assert.deepEqual(await until(news, 'written a'), ['created a', 'written a']);
    await utimes(join(dir, 'a'), 1, 1);
    await rename(join(dir, 'a'), join(dir, 'b'));
    await unlink(join(dir, 'b'));
    await mkdir(join(dir, 'c'));
    assert.deepEqual(await until(news, 'created c/'), [
      'metadata a',
      'removed a',
      'created b',
      'removed b',
      'created c/',
    ]);
  });

  it('tells of all that is below it, also in folders that come later or are renamed, and follows no link', async () => {
    await mkdir(join(dir, 'one/two'), { recursive: true });
    await mkdir(join(agent.dir, 'elsewhere'), { recursive: true });
    await symlink(join(agent.dir, 'elsewhere'), join(dir, 'link'));
    const { folders, news } = await watch(true);
    assert.equal(folders, 3);
    await writeFile(join(agent.dir, 'elsewhere/unseen'), '');
    await writeFile(join(dir, 'one/two/file'), '');
    assert.deepEqual(await until(news, 'created one/two/file'), ['created one/two/file']);
    await mkdir(join(dir, 'new/deep'), { recursive: true });
    await writeFile(join(dir, 'new/deep/file'), '');
    const seen = await until(news, 'created new/deep/file');
    assert(seen.includes('created new/') && seen.includes('created new/deep/'), seen.join(', '));
    await rename(join(dir, 'new'), join(dir, 'moved'));
    await until(news, 'created moved/deep/file');
    await writeFile(join(dir, 'moved/deep/later'), '');
    await until(news, 'created moved/deep/later');
    await rm(join(dir, 'moved'), { recursive: true });
    await until(news, 'removed moved/');
    await mkdir(join(dir, 'moved'));
    await writeFile(join(dir, 'moved/again'), '');
    await until(news, 'created moved/again');
  });

  it('tells of one file, and ends when what is watched is gone', async () => {
    await writeFile(join(dir, 'file'), '');
    const { news } = await watch(false, join(dir, 'file'));
    await writeFile(join(dir, 'file'), 'x');
    await until(news, 'written ');
    await unlink(join(dir, 'file'));
    for await (const last of news) assert(['written ', 'metadata '].includes(told(last)), told(last));
    const { news: ofFolder } = await watch(true);
    await rm(dir, { recursive: true });
    for await (const last of ofFolder) assert.fail(told(last));
  });

  it('says that changes were missed, and goes on', async () => {
    const { news } = await watch(true);
    // In one go, so that nothing is read meanwhile here; the guest's side reads what this side has room for. Two in turn: what
    // happens twice in a row to the same is told once.
    const files = ['0', '1'].map((end) => join(dir, 'x'.repeat(200) + end));
    for (const file of files) writeFileSync(file, '');
    for (let count = 0; count < 3 * MAX_QUEUED; count++) utimesSync(files[count % 2] ?? '', 1, count);
    mkdirSync(join(dir, 'during'));
    const all = await until(news, 'missed');
    assert(all.length < 3 * MAX_QUEUED);
    // It may be the first of several: what changes before the last one may be among what was missed.
    const again = setInterval(() => {
      writeFileSync(join(dir, 'during/after'), '');
      rmSync(join(dir, 'during/after'));
    }, 50);
    await until(news, 'created during/after').finally(() => clearInterval(again));
  });

  it('says which folders it cannot watch, when there are too many', async () => {
    for (let count = 0; count < MAX_FOLDERS; count++) mkdirSync(join(dir, String(count)));
    const news = client.files.watch({ path: Buffer.from(dir), recursive: true });
    open.add(news);
    const [first, second] = [(await news.next()).value, (await news.next()).value];
    assert.equal(first?.type, 'unwatched');
    assert.deepEqual(second, { type: 'watching', folders: MAX_FOLDERS });
    const path = first.path.toString();
    await writeFile(join(dir, path, 'unseen'), '');
    await rm(join(dir, path), { recursive: true });
    assert.deepEqual(await until(news, `removed ${path}/`), [`removed ${path}/`]);
  });

  it('refuses what is not there', async () => {
    const news = client.files.watch({ path: Buffer.from(join(dir, 'absent')) });
    await assert.rejects(news.next(), (error) => error instanceof AgentRefused && error.code === 'no_file');
  });

  it('leaves no process when its client goes', async () => {
    const ended = new AbortController();
    const news = client.files.watch({ path: Buffer.from(dir) }, ended.signal);
    await news.next();
    ended.abort(new Error('enough'));
    await assert.rejects(news.next(), /enough/);
    // As many as may be under way at a time, and a few more.
    for (let count = 0; count < 140; count++) {
      const one = client.files.watch({ path: Buffer.from(dir) });
      await one.next();
      await one.return();
    }
  });
});
