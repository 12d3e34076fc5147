/**
 * When a service is ready, in one word of text, the same on the command line and in every client: `tcp:5432`.
 *
 * Apart from its schema: the command line looks at it before it has loaded anything that checks schemas.
 */

/** What answers whether a service is ready. */
export type ReadyCheck =
  | { readonly kind: 'exec'; readonly args: readonly string[] }
  | { readonly kind: 'tcp'; readonly port: number }
  | { readonly kind: 'http'; readonly port: number; readonly path: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'log'; readonly pattern: string };

export const READY_FORMS = 'exec:COMMAND, tcp:PORT, http:PORT/PATH, file:/PATH or log:TEXT';

/** Of a text to wait for: what is printed is compared with it as it comes. */
const MAX_PATTERN = 256;

/** Undefined for what is no check. */
export function readyCheck(text: string): ReadyCheck | undefined {
  const [, kind, rest = ''] = /^([a-z]+):([^]+)$/.exec(text) ?? [];
  if (kind === 'exec') return { kind, args: ['/bin/sh', '-c', rest] };
  if (kind === 'log') return rest.length > MAX_PATTERN ? undefined : { kind, pattern: rest };
  if (kind === 'file') return rest.startsWith('/') ? { kind, path: rest } : undefined;
  const [, digits, path] = /^(\d{1,5})(\/[!-~]*)?$/.exec(rest) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535)) return undefined;
  if (kind === 'http') return { kind, port, path: path ?? '/' };
  return kind === 'tcp' && path === undefined ? { kind, port } : undefined;
}
