import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ExportOptions } from '../sdk/index.js';
import { exported } from './exported.js';
import { withProgress } from './progress.js';

it('exported() shows what is done, and a bar as soon as the size is known', async () => {
  const lines: string[] = [];
  const io = { stderr: (text: string) => void lines.push(text), isTerminal: true, env: {} };
  const shows = async (words: RegExp): Promise<void> => {
    while (!lines.some((line) => words.test(line))) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  const snapshots = {
    async *export(_tag: string, { onSize }: ExportOptions = {}): AsyncGenerator<Uint8Array, void> {
      await shows(/packing base … \d/);
      onSize?.(4096);
      yield new Uint8Array(1024);
      await shows(/writing file … \[#{5} {15}\] 25 %, 1\.0 KiB of 4\.0 KiB, \d/);
      yield new Uint8Array(3072);
    },
  };
  let bytes = 0;
  await withProgress(io, 'packing base', async (progress) => {
    const how = { progress, doing: 'writing file', signal: new AbortController().signal };
    for await (const piece of exported(snapshots, 'base', how)) bytes += piece.length;
  });
  assert.equal(bytes, 4096);
});
