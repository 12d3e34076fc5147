/** Requests against their zod schemas: what is wrong becomes `invalid_request`, naming the first field. */

import { BoughError } from '../../contract/index.js';
import type { z } from 'zod';

/**
 * Parses one part of a request. Throws `invalid_request` with the path of the first offending field, e.g.
 * `env.PATH` or `args.0`; `whole` is the name for the part itself.
 */
export function parseRequestPart(schema: z.ZodType, value: unknown, whole: string): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new BoughError('invalid_request', describeIssue(result.error.issues, value, whole));
}

/** A field that is null counts as absent: clients in several languages send their unset options so. */
export function withoutNullFields(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body ?? {};
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

function describeIssue(
  issues: readonly z.core.$ZodIssue[],
  value: unknown,
  whole: string,
): { field: string; problem: string } {
  const issue = issues[0];
  if (issue === undefined) return { field: whole, problem: 'is invalid' };
  if (issue.code === 'unrecognized_keys')
    return { field: [...issue.path, issue.keys[0]].map(String).join('.'), problem: 'is not known here' };
  const field = issue.path.length === 0 ? whole : issue.path.map(String).join('.');
  if (issue.code !== 'custom' && issue.path.length > 0 && valueAt(value, issue.path) === undefined) {
    return { field, problem: 'is required' };
  }
  return { field, problem: issue.message.replace(/^Invalid (input|option): /, 'is invalid: ') };
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
}
