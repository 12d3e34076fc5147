/** A small table with rows of each kind, served on loopback, and clients that take their time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import { z } from 'zod';
import { BoughError, type BoughEvent, type RouteTable } from '../../src/contract/index.js';
import type { HandlersOf } from '../../src/daemon/rows/handlers.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { limits } from '../../src/daemon/shell/limits.js';
import { stopShell } from '../../src/daemon/shell/stop.js';
import { listeningShell, type ListeningShell } from './support.js';

const bodySchema = z.object({ n: z.number() });
const replySchema = z.object({ n: z.number() });
const any = { summary: '', scope: 'read', resource: 'daemon', errors: [] } as const;
export const BYTES = 'application/octet-stream';

export const table = {
  put: {
    ...{ ...any, kind: 'json', method: 'PUT', path: '/v1/number' },
    body: bodySchema,
    replies: { 200: replySchema },
  },
  get: { ...any, kind: 'json', method: 'GET', path: '/v1/number', replies: { 200: replySchema } },
  echo: { ...any, kind: 'stream', method: 'POST', path: '/v1/echo', replies: { 200: BYTES } },
  upload: { ...any, kind: 'stream', method: 'PUT', path: '/v1/file', replies: { 204: null } },
  size: { ...any, kind: 'stream', method: 'HEAD', path: '/v1/file', replies: { 200: BYTES } },
  file: { ...any, kind: 'stream', method: 'GET', path: '/v1/file', replies: { 200: BYTES } },
  endless: { ...any, kind: 'stream', method: 'GET', path: '/v1/endless', replies: { 200: BYTES } },
  socket: {
    ...{ ...any, kind: 'socket', method: 'GET', path: '/v1/socket/:word' },
    params: z.object({ word: z.string().max(8) }),
  },
} as const satisfies RouteTable;
export type Handlers = HandlersOf<typeof table>;

async function* once1(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

const handlers: Handlers = {
  put: ({ body }) => body,
  get: () => ({ n: 7 }),
  echo: ({ body }) => ({ bytes: body }),
  async upload({ body }) {
    for await (const piece of body) assert.ok(piece.length > 0);
    return {};
  },
  size: () => ({ headers: { 'content-length': '5' } }),
  file: () => ({ bytes: once1(Buffer.from('whole')) }),
  endless: (_asked, { signal }) => ({ bytes: ticks(signal) }),
  socket: async ({ params, socket }) => {
    if (params.word === 'refuse') throw new BoughError('sandbox_not_found', { id: 'x' });
    socket.on('message', (message: Buffer) => socket.send(`${params.word} ${message.toString()}`));
    if (params.word !== 'end') await once(socket, 'close');
  },
};

/** A tick now and again, until the signal fires. */
export async function* ticks(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  while (!signal.aborted) {
    yield Buffer.from('tick\n');
    await sleep(5, undefined, { signal }).catch(() => undefined);
  }
}

/** Serves the table to `body`, some handlers by others. */
export async function withRows(
  body: (shell: ListeningShell, events: BoughEvent[]) => Promise<void>,
  options: {
    handlers?: Partial<Handlers>;
    bodyTimeoutMs?: number;
    token?: string;
    host?: Host;
    log?: FastifyBaseLogger;
  } = {},
): Promise<void> {
  const { bodyTimeoutMs = limits.bodyTimeoutMs, token, host, log } = options;
  const shell = await listeningShell(
    table,
    { ...handlers, ...options.handlers },
    { bodyTimeoutMs, token, host, log },
  );
  const seen: BoughEvent[] = [];
  shell.events.subscribe((event) => seen.push(event));
  try {
    await body(shell, seen);
  } finally {
    await stopShell(shell, 50);
  }
}

/** Sends the head of a request and a byte of its body each `everyMs`, and resolves with what came back. */
export async function drip(port: number, line: string, everyMs: number, byteCount: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let received = '';
  socket.on('data', (chunk) => (received += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  // Not once(), which would reject: what came before the connection was reset is the answer.
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const end = line.startsWith('GET') ? '' : 'Connection: close\r\n';
  const type = 'Content-Type: application/json\r\n';
  socket.write(`${line} HTTP/1.1\r\nHost: localhost\r\n${end}${type}Content-Length: ${byteCount}\r\n\r\n`);
  for (let sent = 0; sent < byteCount && !socket.destroyed; sent++) {
    socket.write(' ');
    await sleep(everyMs);
  }
  await closed;
  return received;
}

/** What was told of requests, a line each. */
export const answered = (events: readonly BoughEvent[]): string[] =>
  events.flatMap(({ name, facts }) =>
    name === 'call.answered' ? [`${facts.method} ${facts.kind} ${facts.outcome} ${facts.status}`] : [],
  );

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}
