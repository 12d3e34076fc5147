/**
 * The client asks and understands as native/pager/protocol-vectors.txt says, which the pager's own test reads
 * too.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { FakePager } from '../../test/support/fake-pager.js';
import { PagerClient, PagerError, type PagerBranchRequest } from './index.js';

const VECTORS = new URL('../../../native/pager/protocol-vectors.txt', import.meta.url);

interface Exchange {
  call?: Call;
  request: string;
  answers: string[];
  gives?: unknown;
}
type Call =
  ['hello'] | ['map', markerPath: string, layerPaths: string[]] | ['branch', request: PagerBranchRequest];

const exchanges = parseVectors(await readFile(VECTORS, 'utf8'));

function parseVectors(text: string): Exchange[] {
  const blocks = text.split('\n\n').map((block) => block.split('\n').filter((line) => /^[><cg]/.test(line)));
  return blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => {
      const of = (word: string): string[] =>
        lines.flatMap((line) => (line.startsWith(`${word}\t`) ? [line.slice(word.length + 1)] : []));
      const [call] = of('call');
      const [request = ''] = of('>');
      const [gives] = of('gives');
      const answers = of('<').map((line) => line.replaceAll(/(\t\w+)~/g, '$1='));
      if (call === undefined || gives === undefined) return { request, answers };
      return { call: JSON.parse(call) as Call, request, answers, gives: JSON.parse(gives) as unknown };
    });
}

async function make(client: PagerClient, call: Call): Promise<unknown> {
  if (call[0] === 'hello') return client.hello();
  if (call[0] === 'map') return client.map(call[1], call[2]);
  const { running, done } = client.branch(call[1]);
  return { running: await running, done: await done };
}

const errorFields = (error: unknown): unknown => {
  assert(error instanceof PagerError);
  const { errno, errnoName, operation } = error;
  return { error: { errno, errnoName, operation } };
};

describe('the vectors of the pager’s protocol', () => {
  let dir = '';
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-vectors-'));
  });
  after(() => rm(dir, { recursive: true }));

  it('hold every command, in success and in failure', () => {
    const seen = new Set(
      exchanges.map(({ call, answers }) => `${call?.[0] ?? ''} ${answers.at(-1)?.split('\t')[0] ?? ''}`),
    );
    for (const kind of ['hello ok', 'map ok', 'map error', 'branch ok', 'branch error']) {
      assert(seen.has(kind), kind);
    }
  });

  for (const [index, { call, request, answers, gives }] of exchanges.entries()) {
    if (call === undefined) continue;
    it(`${index}: ${request.replaceAll('\t', ' ').slice(0, 60)}`, async () => {
      const pager = await FakePager.listen(join(dir, `${index}.sock`), () => answers);
      const client = await PagerClient.connect(pager.socketPath);
      try {
        assert.deepEqual(await make(client, call).catch(errorFields), gives);
        assert.deepEqual(pager.received, [request]);
      } finally {
        await client.close();
        await pager.close();
      }
    });
  }
});
