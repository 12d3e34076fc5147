import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AgentProtocolError } from './errors.js';
import { encodeFrame, FrameDecoder, FrameKind, parseObject } from './frames.js';

describe('FrameDecoder', () => {
  const stream = Buffer.concat([
    encodeFrame(FrameKind.stdout, Buffer.from('one')),
    encodeFrame(FrameKind.stderr, Buffer.alloc(0)),
    encodeFrame(FrameKind.end, Buffer.from('{}')),
  ]);

  it('finds the same frames however the bytes are cut', () => {
    for (let cut = 1; cut <= stream.length; cut++) {
      const decoder = new FrameDecoder();
      const frames: [number, string][] = [];
      for (let at = 0; at < stream.length; at += cut) {
        for (const { kind, payload } of decoder.push(stream.subarray(at, at + cut))) {
          frames.push([kind, payload.toString()]);
        }
      }
      assert.deepEqual(frames, [
        [FrameKind.stdout, 'one'],
        [FrameKind.stderr, ''],
        [FrameKind.end, '{}'],
      ]);
    }
  });

  it('gives payloads that stay when what was pushed is written again, longer ones than it makes room for at first too', () => {
    const payload = Buffer.alloc(5 << 20, 'long');
    const chunk = Buffer.alloc(64 << 10);
    const decoder = new FrameDecoder();
    const frames = [];
    const bytes = Buffer.concat([stream, encodeFrame(FrameKind.end, payload)]);
    for (let at = 0; at < bytes.length; at += chunk.length) {
      const length = bytes.copy(chunk, 0, at);
      frames.push(...decoder.push(chunk.subarray(0, length)));
    }
    assert.deepEqual(
      frames.map((frame) => frame.payload.subarray(0, 3).toString()),
      ['one', '', '{}', 'lon'],
    );
    assert.ok(frames[3]?.payload.equals(payload));
  });

  it('refuses a frame by its header, before its payload is there', () => {
    for (const header of [
      [FrameKind.stdout, 0, 0x10, 0, 1],
      [FrameKind.end, 0xff, 0xff, 0xff, 0xff],
      [FrameKind.request, 0, 0, 0, 0],
      [0, 0, 0, 0, 0],
    ]) {
      assert.throws(() => [...new FrameDecoder().push(Buffer.from(header))], AgentProtocolError);
    }
  });
});

describe('parseObject()', () => {
  it('takes objects only', () => {
    assert.deepEqual(parseObject(Buffer.from('{"a":1}')), { a: 1 });
    for (const text of ['', '[]', 'null', '1', '{', '"x"', '\xff']) {
      assert.throws(() => parseObject(Buffer.from(text, 'latin1')), AgentProtocolError);
    }
  });
});
