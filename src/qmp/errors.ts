/** What can go wrong between a QMP client and QEMU. */

/** The connection is gone, with the reason; every call that was pending fails with the same error. */
export class QmpDisconnected extends Error {
  override readonly name = 'QmpDisconnected';
}

/** The peer sent something that is not QMP; always the `cause` of a QmpDisconnected. */
export class QmpProtocolError extends Error {
  override readonly name = 'QmpProtocolError';
}

/** QEMU understood the command and refused it. */
export class QmpCommandError extends Error {
  override readonly name = 'QmpCommandError';
  readonly command: string;
  readonly class: string;
  readonly desc: string;

  constructor(command: string, errorClass: string, desc: string) {
    super(`QMP ${command} failed: ${desc}`);
    this.command = command;
    this.class = errorClass;
    this.desc = desc;
  }
}

/** No answer, or no event, within `timeoutMs`; the command may still take effect later. */
export class QmpTimeout extends Error {
  override readonly name = 'QmpTimeout';
  readonly awaited: string;
  readonly timeoutMs: number;

  constructor(awaited: string, timeoutMs: number) {
    super(`QMP ${awaited} did not come within ${timeoutMs} ms`);
    this.awaited = awaited;
    this.timeoutMs = timeoutMs;
  }
}
