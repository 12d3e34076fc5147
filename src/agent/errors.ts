/** How a call to the guest agent can fail, besides its signal's reason when the caller gave up. */

/**
 * No answer: the connection was refused, or it ended before the answer was complete. `sent` tells whether the
 * request may have been carried out.
 */
export class AgentUnreachable extends Error {
  override readonly name = 'AgentUnreachable';
  readonly sent: boolean;

  constructor(what: string, { sent, cause }: { sent: boolean; cause?: unknown }) {
    super(what, cause === undefined ? undefined : { cause });
    this.sent = sent;
  }
}

/** What came from the guest is not this protocol; nothing in it is to be believed. */
export class AgentProtocolError extends Error {
  override readonly name = 'AgentProtocolError';
}

/**
 * The operation did not end within `timeoutMs`; the agent has killed or interrupted it, or will when it
 * notices.
 */
export class AgentDeadline extends Error {
  override readonly name = 'AgentDeadline';
  readonly timeoutMs: number;

  constructor(operation: string, timeoutMs: number, options?: ErrorOptions) {
    super(`The guest did not finish ${operation} within ${timeoutMs} ms`, options);
    this.timeoutMs = timeoutMs;
  }
}

/**
 * The agent answered that it will not or could not; `code` as in docs/internals/agent-protocol.md, such as
 * `unauthorized`.
 */
export class AgentRefused extends Error {
  override readonly name = 'AgentRefused';
  readonly code: string;
  /** The agent's own words. */
  readonly problem: string;

  constructor(operation: string, code: string, problem: string) {
    super(`The guest refused ${operation}: ${problem}`);
    this.problem = problem;
    this.code = code;
  }
}
