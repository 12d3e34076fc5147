import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { FrameReader, FrameType, GateProtocolError, writeFrame } from './frames.js';

const VECTORS = new URL('../../../../native/gate/protocol-vectors.txt', import.meta.url);
const vectors = (await readFile(VECTORS, 'utf8'))
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.split('\t') as [name: string, seq: string, payload: string, frame: string]);

describe('the vectors of the gate’s protocol', () => {
  it('are there', () => assert.equal(vectors.length, 7));

  for (const [name, seq, payloadHex, frameHex] of vectors) {
    it(`${name} ${seq} is written and read as the gate does it`, () => {
      const bytes = Buffer.from(frameHex, 'hex');
      const reader = new FrameReader();
      if (name === 'bad') {
        reader.push(bytes);
        assert.throws(() => reader.next(), GateProtocolError);
        return;
      }
      reader.push(bytes.subarray(0, bytes.length - 1));
      const payload = payloadHex === '-' ? Buffer.alloc(0) : Buffer.from(payloadHex, 'hex');
      const frame = { type: FrameType[name as keyof typeof FrameType], seq: Number(seq), payload };
      assert.deepEqual(writeFrame(frame), bytes);
      assert.equal(reader.next(), undefined);
      reader.push(bytes.subarray(bytes.length - 1));
      assert.deepEqual(reader.next(), frame);
      assert.equal(reader.rest.length, 0);
    });
  }
});
