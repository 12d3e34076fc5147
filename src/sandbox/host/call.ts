/**
 * The circumstances of one call: who asks, under which name, and for how long. The last argument of every
 * method of `Host`.
 */
import type { RequestKey } from '../../store/index.js';

/**
 * Who asks: the name of a token; `token` is the one of `--token-file`, `anonymous` whoever can reach the port where none is needed, `daemon`
 * the daemon by itself.
 */
export type Principal = string;

export interface CallContext {
  /** Names the call in answers, log and events. */
  readonly requestId: string;
  readonly principal: Principal;
  /** Fires when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Whoever asks again with it has nothing made twice. */
  readonly key?: RequestKey | undefined;
}

/** A call that the daemon makes by itself; nobody gives up on it. */
export function ownCall(): CallContext {
  return { requestId: 'daemon', principal: 'daemon', signal: new AbortController().signal };
}
