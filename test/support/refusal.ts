/** What a refused call said: the catalogue's code and status, and its details. */
import assert from 'node:assert/strict';
import { BoughError } from '../../src/contract/index.js';
import { BoughApiError } from '../../src/sdk/index.js';

export interface Refusal {
  readonly code: string;
  readonly status: number;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Fails unless the call is refused with a code. */
export async function refusal(call: Promise<unknown>): Promise<Refusal> {
  const error = await call.then(
    () => assert.fail('the call was not refused'),
    (reason: unknown) => reason,
  );
  if (error instanceof BoughError) return told(error);
  if (error instanceof BoughApiError) return told(error);
  throw error;
}

function told({ code, status, message, details = {} }: BoughError | BoughApiError): Refusal {
  return { code, status, message, details };
}

/** Fails unless the call is refused with that code and status. */
export async function refusedWith(code: string, status: number, call: Promise<unknown>): Promise<Refusal> {
  const refused = await refusal(call);
  assert.deepEqual({ code: refused.code, status: refused.status }, { code, status }, refused.message);
  return refused;
}
