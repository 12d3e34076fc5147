/** Requests that take long, and clients that give up when they hear nothing. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { routes } from '../../src/contract/index.js';
import { Bough } from '../../src/sdk/index.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import { listeningShell, type ListeningShell } from './support.js';

const TOLD_EVERY_MS = 20;
const PATIENCE_MS = 1_000;
const { processInput, ping } = routes;

describe('a request that takes long', { timeout: 60_000 }, () => {
  let shell: ListeningShell;
  /** Emits `held` with what lets a request be answered, once the request is held up. */
  const handler = new EventEmitter();
  const holdsOne = async (): Promise<() => void> => (await once(handler, 'held'))[0] as () => void;

  before(async () => {
    const answered = (): Promise<void> => new Promise((resolve) => handler.emit('held', resolve));
    shell = await listeningShell(
      { processInput, ping },
      {
        processInput: async () => {
          await answered();
          return { headers: { 'bough-stdin-bytes': '1' } };
        },
        ping: async () => {
          await answered();
          return { pong: true, interpreter: 'ready', uptime_secs: 1 };
        },
      },
      { processingMs: TOLD_EVERY_MS },
    );
  });
  after(() => stopShell(shell, 10));

  const ask = (path: string, headers: Record<string, string>): { told: number[]; done: Promise<number> } => {
    const told: number[] = [];
    const asked = request({
      port: shell.port,
      method: 'POST',
      path,
      headers: { host: 'localhost', ...headers },
    });
    asked.on('information', ({ statusCode }) => told.push(statusCode));
    const done = once(asked, 'response').then(([response]) => {
      (response as IncomingMessage).resume();
      return (response as IncomingMessage).statusCode ?? 0;
    });
    asked.end();
    return { told, done };
  };

  for (const path of ['/v1/sandboxes/a/processes/7/stdin', '/v1/sandboxes/a/ping'])
    it(`is told to be under way, to who asks for it: ${path}`, async () => {
      const held = holdsOne();
      const { told, done } = ask(path, { prefer: 'respond-async, Processing' });
      const answer = await held;
      while (told.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
      answer();
      assert.equal(Math.floor((await done) / 100), 2);
      assert.deepEqual([...new Set(told)], [102]);
    });

  it('is told of to nobody else', async () => {
    const held = holdsOne();
    const { told, done } = ask('/v1/sandboxes/a/ping', { prefer: 'respond-async' });
    const answer = await held;
    await new Promise((resolve) => setTimeout(resolve, 5 * TOLD_EVERY_MS));
    answer();
    await done;
    assert.deepEqual(told, []);
  });

  it('does not tire a client of the SDK, whose fetch gives up when it hears nothing', async () => {
    await fetch(`${shell.address}/healthz`);
    const { constructor: Agent } = Reflect.get(globalThis, Symbol.for('undici.globalDispatcher.1')) as {
      constructor: new (limits: { headersTimeout: number }) => unknown;
    };
    const dispatcher = new Agent({ headersTimeout: PATIENCE_MS });
    const impatient: typeof fetch = (input, init) => fetch(input, { ...init, dispatcher } as RequestInit);
    const process = new Bough({ url: shell.address, fetch: impatient }).sandboxes.processes('a').of(7);
    const held = holdsOne();
    const written = process.write('x');
    setTimeout(await held, 2 * PATIENCE_MS);
    assert.equal(await written, 1);
  });
});
