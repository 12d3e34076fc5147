import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CliDaemon } from '../../../../test/support/cli-daemon.js';

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
});
