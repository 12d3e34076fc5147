/** A refusal of the host names a field as the host calls it; whoever sent the request knows it under the wire's name. */
import { BoughError, isBoughError } from '../../contract/index.js';

/** `error` with the field's name in snake_case; any other error as it is. */
export function inWireNames(error: unknown): unknown {
  if (!isBoughError(error, 'invalid_request')) return error;
  const { field, problem } = error.details as { field: string; problem: string };
  const wireField = field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return new BoughError('invalid_request', { field: wireField, problem }, { cause: error });
}
