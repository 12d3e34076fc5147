import { BoughError, sandboxIdSchema } from '../../contract/index.js';

/** What cannot be an id is not found, and never reaches anything that looks ids up. */
export function knownForm({ id }: { id: string }): string {
  if (!sandboxIdSchema.safeParse(id).success) throw new BoughError('sandbox_not_found', { id });
  return id;
}
