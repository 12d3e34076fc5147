/** Calls into the guest of a sandbox: it has to take them, it is in use meanwhile, and what fails is told in the catalogue's words. */
import { Deferred } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import type { Sandbox } from '../entity/sandbox.js';
import { trustVariables } from '../entity/trust.js';
import type { HostContext } from './context.js';
import { toCatalogue } from './failures.js';

/** Which sandbox, and what is attempted: it completes "failed to ...". */
export interface GuestCall {
  readonly id: string;
  readonly operation: string;
}

/** What a call that failed is answered with: one whose guest another has taken the place of says that, however it was cut off. */
export function guestFailure({ id, isReplaced }: Sandbox, operation: string, error: unknown): unknown {
  if (isReplaced) return new BoughError('sandbox_rolled_back', { id }, { cause: error });
  return toCatalogue(error, { operation, sandboxId: id });
}

/** Throws `sandbox_not_found`, `sandbox_not_running`, `sandbox_rolled_back`, and what the agent's errors become. */
export async function inGuest<T>(
  { sandboxes }: HostContext,
  { id, operation }: GuestCall,
  work: (sandbox: Sandbox) => Promise<T>,
): Promise<T> {
  const sandbox = sandboxes.get(id);
  sandbox.require('use');
  return sandbox.lifetime.during(async () => {
    try {
      return await work(sandbox);
    } catch (error) {
      throw guestFailure(sandbox, operation, error);
    }
  });
}

/** As `inGuest`, for what is a stream: that a sandbox cannot be used is thrown at once, everything else while it is iterated. */
export function streamFromGuest<T>(
  { sandboxes }: HostContext,
  { id, operation }: GuestCall,
  work: (sandbox: Sandbox) => AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  const sandbox = sandboxes.get(id);
  sandbox.require('use');
  return (async function* (): AsyncGenerator<T, void, undefined> {
    const over = new Deferred<undefined>();
    void sandbox.lifetime.during(() => over.promise);
    try {
      yield* work(sandbox);
    } catch (error) {
      throw guestFailure(sandbox, operation, error);
    } finally {
      over.resolve(undefined);
    }
  })();
}

/** The program with the sandbox's variables, as far as it does not set them itself. */
export function withEnv<P extends { readonly env?: Readonly<Record<string, string>> | undefined }>(
  program: P,
  { record }: Sandbox,
): P {
  return { ...program, env: { ...trustVariables(record.network), ...record.env, ...program.env } };
}
