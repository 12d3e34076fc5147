/**
 * Calls: handlers that run. The count is of handlers, not of connections: work goes on after a client leaves.
 *
 * A call's signal fires when its client is gone, or when the daemon stops and waits no longer.
 */
import { BoughError, type CallOutcome, type RouteKind } from '../../contract/index.js';

export class RunningCall {
  readonly kind: RouteKind;
  /** It ends only when someone ends it. */
  readonly isEndless: boolean;
  readonly #controller = new AbortController();
  #outcome: CallOutcome | undefined;

  constructor(kind: RouteKind, isEndless: boolean) {
    this.kind = kind;
    this.isEndless = isEndless;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Undefined while it runs. */
  get outcome(): CallOutcome | undefined {
    return this.#outcome;
  }

  answered(): void {
    this.#outcome ??= 'answered';
  }

  clientLeft(): void {
    this.#outcome ??= 'left';
    this.#controller.abort(new Error('the client closed the connection'));
  }

  stop(): void {
    this.#outcome ??= 'stopped';
    this.#controller.abort(new BoughError('shutting_down'));
  }
}

export class RunningCalls {
  readonly #running = new Set<RunningCall>();
  #idle: (() => void) | undefined;

  begin(kind: RouteKind, { endless = kind === 'socket' } = {}): RunningCall {
    const call = new RunningCall(kind, endless);
    this.#running.add(call);
    return call;
  }

  end(call: RunningCall): void {
    call.answered();
    this.#running.delete(call);
    if (this.#running.size === 0) this.#idle?.();
  }

  /** How many there are of a kind. */
  count(kind: RouteKind): number {
    return [...this.#running].filter((call) => call.kind === kind).length;
  }

  /**
   * Resolves when no call runs any more; after `deadlineMs` aborts those that do, and waits for half as long again. What ends only when
   * someone ends it is not waited for.
   */
  async drain(deadlineMs: number): Promise<void> {
    this.#stop(({ isEndless }) => isEndless);
    if (await this.#waitIdle(deadlineMs)) return;
    this.#stop(() => true);
    await this.#waitIdle(deadlineMs / 2);
  }

  #stop(which: (call: RunningCall) => boolean): void {
    for (const call of this.#running) if (which(call)) call.stop();
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
