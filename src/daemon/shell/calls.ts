/**
 * Calls: handlers that run. The count is of handlers, not of connections: work goes on after a client leaves.
 *
 * A call's signal fires when its client is gone, when the daemon stops and waits no longer, and when its token is taken back.
 */
import { BoughError, type CallOutcome, type RouteKind } from '../../contract/index.js';

/** Time for a stream to say why it ends. */
const LAST_WORDS_MS = 1_000;

export class RunningCall {
  readonly kind: RouteKind;
  /** It ends only when someone ends it. */
  readonly isEndless: boolean;
  readonly #controller = new AbortController();
  readonly #cut = new AbortController();
  #outcome: CallOutcome | undefined;

  constructor(kind: RouteKind, isEndless: boolean) {
    this.kind = kind;
    this.isEndless = isEndless;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Fires when nothing more is sent: with `signal`, or later where the call may still say why it ends. */
  get cut(): AbortSignal {
    return this.#cut.signal;
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
    this.#end(new Error('the client closed the connection'));
  }

  stop(): void {
    this.#outcome ??= 'stopped';
    this.#end(new BoughError('shutting_down'));
  }

  revoke(reason: unknown): void {
    this.#outcome ??= 'revoked';
    this.#controller.abort(reason);
    setTimeout(() => this.#cut.abort(reason), LAST_WORDS_MS).unref();
  }

  #end(reason: Error): void {
    this.#controller.abort(reason);
    this.#cut.abort(reason);
  }
}

interface CallOptions {
  readonly endless?: boolean;
  readonly revoked?: AbortSignal | undefined;
}

export class RunningCalls {
  /** With what lets go of its token. */
  readonly #running = new Map<RunningCall, () => void>();
  #idle: (() => void) | undefined;

  /** `revoked` fires when its caller may not call any more. */
  begin(kind: RouteKind, { endless = kind === 'socket', revoked }: CallOptions = {}): RunningCall {
    const call = new RunningCall(kind, endless);
    const onRevoked = (): void => call.revoke(revoked?.reason);
    this.#running.set(call, () => revoked?.removeEventListener('abort', onRevoked));
    if (revoked?.aborted === true) onRevoked();
    else revoked?.addEventListener('abort', onRevoked);
    return call;
  }

  end(call: RunningCall): void {
    call.answered();
    this.#running.get(call)?.();
    this.#running.delete(call);
    if (this.#running.size === 0) this.#idle?.();
  }

  /** How many there are of a kind. */
  count(kind: RouteKind): number {
    return [...this.#running.keys()].filter((call) => call.kind === kind).length;
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
    for (const call of this.#running.keys()) if (which(call)) call.stop();
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
