/**
 * Calls: what a handler is given, and the count of those that run.
 *
 * A handler is a function of what is asked and of the call. The call's signal fires when the client is gone, or when the daemon stops and
 * waits no longer. The count is of handlers, not of connections: work goes on after a client leaves.
 */

import type { FastifyReply } from 'fastify';
import {
  BoughError,
  type RouteBody,
  type RouteName,
  type RouteParams,
  type RouteQuery,
  type RouteReply,
} from '../contract/index.js';
import type { CallContext } from '../sandbox/host/call.js';

/** What a request asks, validated. */
export interface Asked<N extends RouteName> {
  readonly params: RouteParams<N>;
  readonly query: RouteQuery<N>;
  readonly body: RouteBody<N>;
  /** Answers with `status` instead of the first one the route table lists. */
  readonly answerWith: (status: number) => void;
}

/** An answer that is JSON already: the reply its route lists, in pieces. */
export class JsonBytes {
  readonly bytes: Buffer;

  constructor(pieces: readonly Buffer[]) {
    this.bytes = Buffer.concat(pieces);
  }
}

export type Handler<N extends RouteName> = (
  asked: Asked<N>,
  call: CallContext,
) => RouteReply<N> | JsonBytes | Promise<RouteReply<N> | JsonBytes>;

export type Handlers = { readonly [N in RouteName]: Handler<N> };

export class RunningCalls {
  readonly #running = new Set<AbortController>();
  #idle: (() => void) | undefined;

  /** Runs `work` as one call; its signal fires when the client of `reply` goes away. */
  async run<T>(reply: FastifyReply, work: (signal: AbortSignal) => Promise<T> | T): Promise<T> {
    const controller = new AbortController();
    const onClose = () => {
      if (!reply.raw.writableFinished) controller.abort(new Error('the client closed the connection'));
    };
    reply.raw.once('close', onClose);
    this.#running.add(controller);
    try {
      return await work(controller.signal);
    } finally {
      reply.raw.off('close', onClose);
      this.#running.delete(controller);
      if (this.#running.size === 0) this.#idle?.();
    }
  }

  /** Resolves when no call runs any more; after `deadlineMs` aborts those that do, and waits for half as long again. */
  async drain(deadlineMs: number): Promise<void> {
    if (await this.#waitIdle(deadlineMs)) return;
    for (const controller of this.#running) controller.abort(new BoughError('shutting_down'));
    await this.#waitIdle(deadlineMs / 2);
  }

  async #waitIdle(timeoutMs: number): Promise<boolean> {
    if (this.#running.size === 0) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#idle = undefined;
        resolve(false);
      }, timeoutMs);
      this.#idle = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}
