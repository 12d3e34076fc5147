/** The fake agent with just enough of a guest behind it for the suite that the real one passes too. */
import { FrameKind } from '../../src/agent/frames.js';
import { FakeAgent, type FakeAgentConnection } from './fake-agent.js';

type Request = Readonly<Record<string, unknown>>;

const EVALUATED = { result: null, error: null, exit_code: 0, stdout: '', stderr: '', truncated: false };
const EVALUATIONS: Readonly<Record<string, Partial<Record<keyof typeof EVALUATED, unknown>>>> = {
  '6 * 7': { result: '42' },
  'print("x")': { stdout: 'x\n' },
  '1/0': { error: 'ZeroDivisionError: division by zero', exit_code: 1 },
  'print("x" * 1_048_576)': { stdout: 'x'.repeat(1 << 20), truncated: true },
};

const PROGRAMS: Readonly<Record<string, (request: Request, connection: FakeAgentConnection) => void>> = {
  sh(_request, connection) {
    connection.send(FrameKind.stdout, 'out\n');
    connection.send(FrameKind.stderr, 'err\n');
    connection.end({ exit_code: 3 });
  },
  cat(_request, connection) {
    connection.onInput = (piece) => {
      if (piece.length > 0) connection.send(FrameKind.stdout, piece);
      else connection.end({ exit_code: 0 });
    };
  },
  sleep({ timeout_secs: timeoutSecs }, connection) {
    setTimeout(() => connection.end(failure('deadline')), Number(timeoutSecs) * 1000);
  },
};

/** A guest that nobody has claimed. */
export function startScriptedGuest(): Promise<FakeAgent> {
  let owner: unknown;
  return FakeAgent.listen((request, connection) => {
    const { op, secret } = request;
    const isClaim = op === 'identify' && owner === undefined;
    if (!isClaim && (owner === undefined || secret !== owner)) connection.end(failure('unauthorized'));
    else if (op === 'identify') {
      const { nonce, new_secret: newSecret } = request;
      owner = newSecret;
      connection.end({ nonce, hostname: 'fake', restored: !isClaim, hook: null });
    } else if (op === 'ping') connection.end({ pong: true, interpreter: 'ready', uptime_secs: 1 });
    else if (op === 'eval') connection.end({ ...EVALUATED, ...EVALUATIONS[String(request['code'])] });
    else PROGRAMS[(request['args'] as string[])[0] ?? '']?.(request, connection);
  });
}

function failure(code: string) {
  return { error: { code, message: code } };
}
