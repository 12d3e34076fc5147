/** Files of a real guest: what its programs see of what is written, whole disks, users, and a branch in the middle of an upload. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import type { WatchNews } from '../../src/agent/index.js';
import { monotonicMs, sleep } from '../../src/base/index.js';
import type { CallContext } from '../../src/sandbox/host/call.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { refusedWith } from '../support/refusal.js';

type News = AsyncGenerator<WatchNews, void, undefined>;

const call: CallContext = {
  requestId: 'files',
  principal: 'anonymous',
  signal: new AbortController().signal,
};

describe('files of a guest', { timeout: 300_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('files');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  const path = (text: string): { path: Buffer } => ({ path: Buffer.from(text) });
  const read = async ({ id }: Guest, from: string): Promise<Buffer> => {
    const { bytes } = await lab.host.files.read(id, path(from), call);
    const pieces: Buffer[] = [];
    for await (const piece of bytes) pieces.push(piece);
    return Buffer.concat(pieces);
  };

  it('are the ones its programs see, owned by the user that was asked for', async (test) => {
    const guest = await lab.spawn();
    const { files } = lab.host;
    const bytes = Buffer.from(Array.from({ length: 5 << 20 }, (_, at) => (at * 7919) % 251));
    await files.write(guest.id, { ...path('/srv/a/large'), bytes, parents: true }, call);
    const sum = createHash('sha256').update(bytes).digest('hex');
    assert.match(await guest.shell('sha256sum /srv/a/large'), new RegExp(`^${sum}`));
    assert((await read(guest, '/srv/a/large')).equals(bytes));
    assert.match((await read(guest, '/proc/uptime')).toString(), /^\d+\.\d+ /);
    await files.makeFolder(guest.id, { ...path('/srv/open'), mode: 0o777 }, call);
    await files.write(guest.id, { ...path('/srv/open/mine'), bytes: 'x', user: 'nobody' }, call);
    assert.equal(await guest.shell('stat -c "%U %a" /srv/open/mine'), 'nobody 644');
    const secret = { ...path('/etc/shadow'), user: 'nobody' };
    await refusedWith('file_denied', 403, files.read(guest.id, secret, call));
    const times: number[] = [];
    for (let count = 0; count < 15; count++) {
      const begun = monotonicMs();
      await files.stat(guest.id, path('/etc/passwd'), call);
      times.push(monotonicMs() - begun);
    }
    test.diagnostic(`stat: p50 ${times.sort((a, b) => a - b)[7]?.toFixed(1)} ms of 15`);
  });

  it('are as they were when the disk is full or read-only', async () => {
    const guest = await lab.spawn();
    const { files } = lab.host;
    await files.write(guest.id, { ...path('/root/kept'), bytes: 'old' }, call);
    await guest.shell('fallocate -l $(($(stat -f -c "%a * %S" /) - (1 << 20))) /full');
    const large = { ...path('/root/kept'), bytes: Buffer.alloc(8 << 20, 1) };
    await refusedWith('guest_disk_full', 507, files.write(guest.id, large, call));
    assert.equal(await guest.shell('cat /root/kept; ls -A /root | grep -c .bough- || true'), 'old0');
    await guest.shell('rm /full; mount -o remount,ro /');
    const small = { ...path('/root/kept'), bytes: 'new' };
    await refusedWith('file_denied', 403, files.write(guest.id, small, call));
    assert.equal((await read(guest, '/root/kept')).toString(), 'old');
  });

  it('are told as programs change them, of a source and of a child that has nobody of the source to tell', async () => {
    const source = await lab.spawn();
    await source.shell('mkdir -p /srv/tree/old');
    const watch = async ({ id }: Guest): Promise<News> => {
      const news = lab.host.files.watch(id, { ...path('/srv/tree'), recursive: true }, call);
      assert.equal((await news.next()).value?.type, 'watching');
      return news;
    };
    const toldUntil = async (news: News, last: string): Promise<string[]> => {
      const told: string[] = [];
      while (told.at(-1) !== last) {
        const { value } = await news.next();
        assert(value !== undefined && 'path' in value, value?.type);
        told.push(`${value.type} ${value.path.toString()}`);
      }
      return told;
    };
    const ofSource = await watch(source);
    const child = await lab.spawn(await lab.branch(source));
    const ofChild = await watch(child);
    await child.shell('cd /srv/tree && echo x > old/child && mv old new');
    // Told when the folder is watched by its new name: what is written before that need not be told as well.
    const all = await toldUntil(ofChild, 'created new/child');
    assert(
      all.includes('created old/child') && all.includes('removed old') && all.includes('created new'),
      all.join(),
    );
    await child.shell('echo y >> /srv/tree/new/child');
    await toldUntil(ofChild, 'written new/child');
    await ofChild.return();
    await source.shell('echo x > /srv/tree/old/source');
    const [first] = await toldUntil(ofSource, 'written old/source');
    assert.equal(first, 'created old/source');
    await ofSource.return();
  });

  it('are whole in a child of a branch in the middle of an upload', async () => {
    const source = await lab.spawn();
    let goOn = (): void => undefined;
    const half = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.alloc(300_000, 'a');
      await new Promise<void>((resolve) => (goOn = resolve));
      yield Buffer.alloc(300_000, 'b');
    };
    await lab.host.files.write(source.id, { ...path('/root/file'), bytes: 'old' }, call);
    const writing = lab.host.files.write(source.id, { ...path('/root/file'), bytes: half() }, call);
    while ((await source.shell('ls -A /root | grep -c "^.bough-" || true')) !== '1') await sleep(50);
    const child = await lab.spawn(await lab.branch(source));
    goOn();
    assert.equal((await writing).size, 600_000);
    assert.equal(await child.shell('cat /root/file'), 'old');
    for (let attempt = 0; attempt < 100; attempt++) {
      if ((await child.shell('ls -A /root | grep -c "^.bough-" || true')) === '0') return;
      await sleep(100);
    }
    assert.fail('the child keeps half a file');
  });
});
