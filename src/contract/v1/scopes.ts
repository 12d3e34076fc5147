/**
 * What a token may do, each with all that those before it may: see what there is and what happens; use sandboxes, from their start to
 * their end, and what is in them; everything, what is for all users and does not come back included.
 */
export const scopes = ['read', 'exec', 'admin'] as const;
export type Scope = (typeof scopes)[number];

/** Whether `has` is enough where `needed` is. */
export function covers(has: Scope, needed: Scope): boolean {
  return scopes.indexOf(has) >= scopes.indexOf(needed);
}
