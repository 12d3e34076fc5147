import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CliDaemon } from '../../../../test/support/cli-daemon.js';
import { BoughError } from '../../../contract/index.js';

type News<W> = W extends (...asked: never[]) => AsyncGenerator<infer N> ? N : never;

const news: News<CliDaemon['host']['files']['watch']>[] = [
  { type: 'watching', folders: 2 },
  { type: 'created', path: Buffer.from('sub'), isFolder: true },
  { type: 'written', path: Buffer.from([0xff]), isFolder: false },
  { type: 'metadata', path: Buffer.alloc(0), isFolder: false },
  { type: 'missed' },
  { type: 'unwatched', path: Buffer.from('sub/deep') },
];

describe('bough watch', () => {
  let daemon: CliDaemon;
  before(async () => {
    daemon = await CliDaemon.open();
    daemon.host.files.watch = async function* () {
      for (const each of news) yield await Promise.resolve(each);
    };
  });
  after(() => daemon.close());

  it('prints a line for each, and ends when what is watched is gone', async () => {
    const lines = (await daemon.printed('watch', '-r', await daemon.spawn(), '/srv')).split('\n');
    assert.deepEqual(lines, [
      'watching 2 folders',
      'created   sub/',
      'written   /w==',
      'metadata  .',
      'missed    (there were too many changes; some are not told)',
      'unwatched sub/deep',
      '',
    ]);
  });

  it('prints what the API told, with -o json', async () => {
    const lines = (await daemon.printed('watch', '-o', 'json', await daemon.spawn(), '/srv'))
      .trim()
      .split('\n');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line) as unknown),
      [
        { type: 'watching', folders: 2 },
        { type: 'created', path: 'sub', folder: true },
        { type: 'written', path_base64: '/w==' },
        { type: 'metadata', path: '' },
        { type: 'missed' },
        { type: 'unwatched', path: 'sub/deep' },
      ],
    );
  });

  it('lets no name in a guest write lines or sequences of its own, with -o name neither', async () => {
    const path = Buffer.from('a\n\x1b[2Jb');
    daemon.host.files.watch = async function* () {
      yield await Promise.resolve({ type: 'created', path, isFolder: false } as const);
    };
    const id = await daemon.spawn();
    assert.equal(await daemon.printed('watch', id, '/'), 'created   a??[2Jb\n');
    assert.equal(await daemon.printed('watch', '-o', 'name', id, '/'), 'a??[2Jb\n');
    // eslint-disable-next-line require-yield -- it fails at once
    daemon.host.files.watch = async function* () {
      await Promise.resolve();
      throw new BoughError('file_failed', { id, problem: 'a\x1b[2Jb' });
    };
    const { stderr } = await daemon.run(['watch', id, '/']);
    assert.match(stderr, /a\?\[2Jb/);
  });
});
