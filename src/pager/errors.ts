import { getSystemErrorMap } from 'node:util';
import { errnoName } from '../base/index.js';

/**
 * The pager could not do something: `operation` says what, `errno` is Linux's number and `errnoName` its
 * name.
 */
export class PagerError extends Error {
  override readonly name = 'PagerError';
  readonly operation: string;
  readonly errno: number;
  readonly errnoName: string;

  constructor(operation: string, errno: number) {
    const name = errnoName(errno) ?? `errno ${errno}`;
    const text = getSystemErrorMap().get(-errno)?.[1];
    super(`The pager could not ${operation}: ${text === undefined ? name : `${text} (${name})`}`);
    this.operation = operation;
    this.errno = errno;
    this.errnoName = name;
  }
}

/** The connection ended: the VMM is gone, or it has no pager. */
export class PagerDisconnected extends Error {
  override readonly name = 'PagerDisconnected';
}
