/** What a call is about, for whoever tells of it: ids and tags as its path has them, and what its answer says that it made or removed. */
import type { CallEffects, CallSubject, RouteDefinition } from '../../contract/index.js';

/** A path may be longer than any id. */
const MAX_CHARACTERS = 64;

/** Of the parameters of a path, as they were sent. */
export function subjectIn(params: unknown): CallSubject {
  const { id, tag, pid, port } = (params ?? {}) as Record<string, unknown>;
  const named = Object.entries({ sandbox: id, snapshot: tag, process: pid, port });
  return Object.fromEntries(
    named.flatMap(([name, value]) =>
      typeof value === 'string' ? [[name, value.slice(0, MAX_CHARACTERS)] as const] : [],
    ),
  );
}

/** Of an answer of `route`. */
export function effectsIn(route: RouteDefinition, answer: unknown): CallEffects {
  if (route.kind === 'json' && route.keyed === true) {
    // A rollback has made what it kept; the sandbox it tells of was there.
    const { sandbox, kept } = Object(answer) as { sandbox?: unknown; kept?: unknown };
    return { made: namesIn(sandbox === undefined ? answer : kept) };
  }
  const { removed } = Object(answer) as { removed?: unknown };
  const isList = Array.isArray(removed) && removed.every((id) => typeof id === 'string');
  return isList ? { removed } : {};
}

function namesIn(answer: unknown): string[] {
  if (Array.isArray(answer)) return answer.flatMap(namesIn);
  if (typeof answer !== 'object' || answer === null) return [];
  const { id, tag, snapshot, sandbox, children } = answer as Record<string, unknown>;
  const own = [id ?? tag].filter((name) => typeof name === 'string');
  return [...own, ...[snapshot, sandbox, children].flatMap(namesIn)];
}
