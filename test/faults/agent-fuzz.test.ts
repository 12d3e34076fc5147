import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readAnswer } from '../../src/agent/answers.js';
import { AgentDeadline, AgentProtocolError, AgentRefused } from '../../src/agent/errors.js';
import { encodeFrame, FrameDecoder, FrameKind } from '../../src/agent/frames.js';
import { evalAnswer } from '../../src/agent/operations/eval.js';
import { exitAnswer } from '../../src/agent/operations/exec.js';
import { fileAnswer, listEvent } from '../../src/agent/operations/files.js';
import { identifyAnswer } from '../../src/agent/operations/identify.js';
import { pongAnswer } from '../../src/agent/operations/ping.js';
import { mutateBytes, mutateJson } from './mutations.js';
import { Seeded } from './seeded.js';

const STREAMS = 2_000;
const ANSWERS = 1_000;

/** What a decoder makes of a stream that arrives in pieces: its frames, and what it says of the rest. */
function decoded(pieces: readonly Buffer[]): { frames: string[]; refusal: string | undefined } {
  const decoder = new FrameDecoder();
  const frames: string[] = [];
  try {
    for (const piece of pieces)
      for (const { kind, payload } of decoder.push(piece)) frames.push(`${kind} ${payload.toString('hex')}`);
  } catch (error) {
    assert.ok(error instanceof AgentProtocolError, String(error));
    return { frames, refusal: error.message };
  }
  return { frames, refusal: undefined };
}

function cut(stream: Buffer, random: Seeded): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < stream.length;) {
    const until = at + 1 + random.below(random.pick([3, 40, 1000]));
    pieces.push(stream.subarray(at, until));
    at = until;
  }
  return pieces;
}

const KINDS = [FrameKind.stdout, FrameKind.stderr, FrameKind.file, FrameKind.end];
const AN_ENTRY = {
  ...{ path: 'L2E=', type: 'link', size: 3, mode: 0o644, uid: 0, gid: 0, modified_at_unix: 1, etag: '1-a' },
  target: '/w==',
};
const ANSWERS_OF_AGENTS: readonly object[] = [
  { file: AN_ENTRY },
  { entries: [AN_ENTRY, { ...AN_ENTRY, unreadable: true }] },
  { pong: true, interpreter: 'ready', uptime_secs: 3.5 },
  { exit_code: 0 },
  { result: '1', error: null, exit_code: 0, stdout: '', stderr: '' },
  { nonce: 'n', hostname: 'h', restored: true, hook: { exit_code: 0 } },
  { error: { code: 'bad_request', message: 'no' } },
];

for (const random of [new Seeded(1), Seeded.fromEnvironment()]) {
  describe(`a guest that sends anything, ${random.name}`, () => {
    it('is understood or refused, the same however its bytes are cut', (t) => {
      let refused = 0;
      for (let round = 0; round < STREAMS; round++) {
        const frames = Array.from({ length: 1 + random.below(5) }, () =>
          encodeFrame(random.pick(KINDS), Buffer.alloc(random.below(300), random.below(256))),
        );
        const stream = mutateBytes(Buffer.concat(frames), random);
        const whole = decoded([stream]);
        assert.deepEqual(decoded(cut(stream, random)), whole, `${random.name}, round ${round}`);
        if (whole.refusal !== undefined) refused += 1;
      }
      t.diagnostic(`${refused} of ${STREAMS} streams refused, ${random.name}`);
      assert.ok(refused > 0 && refused < STREAMS);
    });

    it('gets an answer that is read or refused, and nothing else', () => {
      for (let round = 0; round < ANSWERS; round++) {
        const text = mutateJson(random.pick(ANSWERS_OF_AGENTS), random);
        const payload = random.below(2) === 0 ? text : mutateBytes(text, random);
        for (const schema of [pongAnswer, exitAnswer, evalAnswer, identifyAnswer, fileAnswer, listEvent]) {
          try {
            readAnswer<unknown>(schema, payload, { operation: 'ping', timeoutMs: 1 });
          } catch (error) {
            const isKnown = [AgentProtocolError, AgentRefused, AgentDeadline].some(
              (kind) => error instanceof kind,
            );
            assert.ok(isKnown, `${random.name}, round ${round}: ${String(error)}`);
          }
        }
      }
    });
  });
}
