import { BoughError, sandboxIdSchema, sandboxNameSchema } from '../../contract/index.js';

/** What can be neither an id nor a name is not found, and never reaches anything that looks them up. */
export function knownForm({ id }: { id: string }): string {
  if (![sandboxIdSchema, sandboxNameSchema].some((schema) => schema.safeParse(id).success))
    throw new BoughError('sandbox_not_found', { id });
  return id;
}
