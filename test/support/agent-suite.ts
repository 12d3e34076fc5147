/**
 * What the client of the guest agent must do with any agent, fake or real, that has no secret yet and a warm
 * Python.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ConnectionChannel } from '../../src/agent/channel.js';
import { FrameKind } from '../../src/agent/frames.js';
import { AgentClient, AgentDeadline, AgentRefused, MAX_CALLS } from '../../src/agent/index.js';

export interface AgentUnderTest {
  readonly port: number;
  close(): Promise<void>;
}

const SECRETS = ['the-first-secret-of-it', 'the-second-secret-of-it'] as const;
const DEADLINE_MS = 10_000;

function identity(newSecret: string) {
  return { newSecret, seed: Buffer.alloc(32, 7), unixTimeNs: BigInt(Date.now()) * 1_000_000n };
}

const refused = (code: string) => (error: unknown) => error instanceof AgentRefused && error.code === code;

export function describeAgentClient(name: string, start: () => Promise<AgentUnderTest>): void {
  describe(`AgentClient with ${name}`, { timeout: 60_000 }, () => {
    let agent: AgentUnderTest;
    let client: AgentClient;

    before(async () => {
      agent = await start();
      client = new AgentClient({ host: '127.0.0.1', port: agent.port });
      await client.waitReady();
    });
    after(() => agent.close());

    it('is refused until it claims the guest, and knows the secret from then on', async () => {
      await assert.rejects(client.ping(), refused('unauthorized'));
      assert.equal((await client.identify(identity(SECRETS[0]))).restored, false);
      assert.equal((await client.waitWarm()).interpreter, 'ready');
      assert.equal((await client.identify(identity(SECRETS[1]))).restored, true);
      assert.equal((await client.ping()).pong, true);
      const stranger = new AgentClient({ host: '127.0.0.1', port: agent.port, secret: SECRETS[0] });
      await assert.rejects(stranger.ping(), refused('unauthorized'));
    });

    it('exec() gives output, error output and status', async () => {
      const ran = await client.exec({ args: ['sh', '-c', 'echo out; echo err >&2; exit 3'] });
      assert.deepEqual(ran, { stdout: 'out\n', stderr: 'err\n', exitCode: 3, truncated: false });
    });

    it('exec() passes input on, however it comes', async () => {
      const cat = async (stdin: string | Uint8Array | AsyncIterable<Uint8Array>): Promise<string> =>
        (await client.exec({ args: ['cat'], stdin, timeoutMs: DEADLINE_MS })).stdout;
      assert.equal(await cat('ä'), 'ä');
      const long = Buffer.alloc(300_000, 'abcdefg\n');
      assert.equal(await cat(long), long.toString());
      const pieces = async function* () {
        for (const piece of ['one', 'two']) yield await Promise.resolve(Buffer.from(piece));
      };
      assert.equal(await cat(pieces()), 'onetwo');
    });

    it('exec() fails with the input that fails', async () => {
      const broken = async function* () {
        yield await Promise.resolve(Buffer.from('x'));
        throw new Error('no more');
      };
      const running = client.exec({ args: ['cat'], stdin: broken(), timeoutMs: DEADLINE_MS });
      await assert.rejects(running, { name: 'InputFailed' });
    });

    it('exec() ends at its deadline', async () => {
      await assert.rejects(client.exec({ args: ['sleep', '60'], timeoutMs: 100 }), AgentDeadline);
    });

    it('eval() tells value, error and what was printed', async () => {
      const nothing = { result: null, error: null, exitCode: 0, stdout: '', stderr: '', truncated: false };
      const evaluate = async (code: string) => client.eval(code, { timeoutMs: DEADLINE_MS });
      assert.deepEqual(await evaluate('6 * 7'), { ...nothing, result: '42' });
      assert.deepEqual(await evaluate('print("x")'), { ...nothing, stdout: 'x\n' });
      const failed = await evaluate('1/0');
      assert.equal(failed.exitCode, 1);
      assert.match(failed.error ?? '', /ZeroDivisionError/);
      const { stdout, truncated } = await evaluate('print("x" * 1_048_576)');
      assert.deepEqual([stdout.length, truncated], [1 << 20, true]);
    });

    it('makes calls beyond what the guest can take wait for their turn', async () => {
      const calls = Array.from({ length: MAX_CALLS + 20 }, () => client.eval('6 * 7'));
      for (const { result } of await Promise.all(calls)) assert.equal(result, '42');
    });

    it('a channel carries frames both ways at once', async () => {
      const channel = ConnectionChannel.open({ host: '127.0.0.1', port: agent.port });
      const send = (kind: number, text: string) => channel.send({ kind, payload: Buffer.from(text) });
      const frames = channel.frames(AbortSignal.timeout(DEADLINE_MS));
      const next = async (): Promise<[number | undefined, string | undefined]> => {
        const { value } = await frames.next();
        return [value?.kind, value?.payload.toString()];
      };
      await send(FrameKind.request, JSON.stringify({ op: 'exec', secret: SECRETS[1], args: ['cat'] }));
      for (const text of ['one', 'two']) {
        await send(FrameKind.stdin, text);
        assert.deepEqual(await next(), [FrameKind.stdout, text]);
      }
      await send(FrameKind.stdin, '');
      assert.deepEqual(await next(), [FrameKind.end, '{"exit_code":0}']);
      channel.close();
    });
  });
}
