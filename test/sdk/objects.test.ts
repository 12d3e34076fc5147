import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Bough, BoughApiError, Controller } from '../../src/sdk/index.js';

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

/** A `fetch` that answers each call with the next of `answers`, and notes it. */
function answering(...answers: [status: number, body?: unknown][]): { fetch: typeof fetch; calls: Call[] } {
  const calls: Call[] = [];
  const fetch = (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    const body: unknown = typeof init.body === 'string' ? JSON.parse(init.body) : undefined;
    calls.push({ method: init.method ?? '', path: url.pathname, body });
    const [status, answer] = answers.shift() ?? [500];
    const response =
      answer === undefined ? new Response(null, { status }) : Response.json(answer, { status });
    return init.signal?.aborted === true
      ? Promise.reject(init.signal.reason as Error)
      : Promise.resolve(response);
  };
  return { fetch, calls };
}

const notFound = { error: 'Cannot find it', code: 'sandbox_not_found' };

describe('Sandbox', () => {
  it('ends with its block, also when the block fails and when it has ended already', async () => {
    const { fetch, calls } = answering([201, [{ id: 's1' }]], [404, notFound]);
    const bough = new Bough({ url: 'http://h', fetch });
    const work = async (): Promise<void> => {
      await using sandbox = await bough.spawn('base');
      throw new Error(`failed in ${sandbox.id}`);
    };
    await assert.rejects(work(), { message: 'failed in s1' });
    assert.deepEqual(calls.at(-1), { method: 'DELETE', path: '/v1/sandboxes/s1', body: undefined });
  });

  it('kill() says what else kept it from ending', async () => {
    const { fetch } = answering([503, { error: 'It is stopping', code: 'shutting_down' }]);
    const error = await new Bough({ fetch })
      .sandbox('s1')
      .kill()
      .catch((reason: unknown) => reason);
    assert(error instanceof BoughApiError);
    assert.deepEqual([error.code, error.retryable], ['shutting_down', true]);
  });

  it('fork() tells children that run from those that did not start', async () => {
    const failure = { error: 'Not enough memory', code: 'no_memory' };
    const answer = { snapshot: { tag: 't' }, pause_ms: 0.5, children: [{ sandbox: { id: 'c1' } }, failure] };
    const fork = await new Bough(answering([201, answer])).sandbox('s1').fork({ count: 2 });
    assert.deepEqual(
      fork.children.map(({ id }) => id),
      ['c1'],
    );
    assert.deepEqual([fork.failures, fork.pauseMs], [[failure], 0.5]);
  });
});

describe('Bough', () => {
  it('finds the daemon and its token in the environment, unless it is told', (t) => {
    const earlier = process.env;
    t.after(() => (process.env = earlier));
    process.env = { BOUGH_URL: 'http://there/', BOUGH_TOKEN: '' };
    assert.equal(new Bough().transport.url, 'http://there');
    assert.equal(new Bough({ url: 'http://here' }).transport.url, 'http://here');
    process.env = { BOUGH_URL: '' };
    assert.equal(new Bough().transport.url, 'http://127.0.0.1:8889');
  });
});

describe('Controller', () => {
  it('puts older names into the API’s', async () => {
    const { fetch, calls } = answering([201, []], [200, {}], [200, {}], [201, {}], [204]);
    const controller = new Controller({ baseUrl: 'http://h/', token: 't', fetch });
    await controller.spawnSandboxes({
      snapshotTag: 'base',
      n: 3,
      perChildNetns: true,
      memoryLimitMib: 512,
      prewarm: true,
    });
    await controller.execCommand('s1', ['ls'], { timeoutSecs: 5, cwd: '/' });
    await controller.evalCode('s1', '1 + 1');
    await controller.branchSandbox('s1', { tag: 'b1', diff: true });
    await controller.killSandbox('s1');
    assert.deepEqual(calls, [
      {
        method: 'POST',
        path: '/v1/sandboxes',
        body: { snapshot_tag: 'base', n: 3, memory_limit_mib: 512, per_child_netns: true, prewarm: true },
      },
      { method: 'POST', path: '/v1/sandboxes/s1/exec', body: { args: ['ls'], timeout_secs: 5, cwd: '/' } },
      { method: 'POST', path: '/v1/sandboxes/s1/eval', body: { code: '1 + 1' } },
      { method: 'POST', path: '/v1/sandboxes/s1/branch', body: { tag: 'b1', diff: true } },
      { method: 'DELETE', path: '/v1/sandboxes/s1', body: undefined },
    ]);
  });

  it('has a method for every call about snapshots and sandboxes', async () => {
    const { fetch, calls } = answering(...Array.from({ length: 30 }, () => [200, {}] as [number, object]));
    const controller = new Controller({ fetch });
    await controller.listSnapshots();
    await controller.getSnapshot('t');
    await controller.getSnapshotInfo('t');
    await controller.createSnapshot({ tag: 't', image: 'i' });
    await controller.deleteSnapshot('t', { cascade: true });
    await controller.compactSnapshot('t', 'u');
    await controller.listSandboxes();
    await controller.getSandbox('s');
    await controller.pingSandbox('s');
    await controller.setSandboxTimeout('s', { never: true });
    await controller.forkSandbox('s', { count: 2 });
    assert.deepEqual(
      calls.map(({ method, path }) => `${method} ${path.slice(3)}`),
      [
        ...[
          'GET /snapshots',
          'GET /snapshots/t',
          'GET /snapshots/t/info',
          'POST /snapshots',
          'DELETE /snapshots/t',
        ],
        ...['POST /snapshots/t/compact', 'GET /sandboxes', 'GET /sandboxes/s', 'POST /sandboxes/s/ping'],
        ...['POST /sandboxes/s/timeout', 'POST /sandboxes/s/fork'],
      ],
    );
  });

  it('gives a call up after its own time, and when its caller does', async (t) => {
    // The clock of a signal keeps no process alive.
    const alive = setTimeout(() => undefined, 60_000);
    t.after(() => clearTimeout(alive));
    const never: typeof fetch = (_input, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error), { once: true });
      });
    const controller = new Controller({ timeoutMs: 20, fetch: never });
    await assert.rejects(controller.listSnapshots(), { name: 'TimeoutError' });
    const signal = AbortSignal.timeout(5);
    await assert.rejects(new Controller({ timeoutMs: 60_000, fetch: never }).listSandboxes({ signal }), {
      name: 'TimeoutError',
    });
  });
});
