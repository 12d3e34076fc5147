/** What `bough cp` copies from and to: `SANDBOX:PATH`, a path here, or `-`. */

import { InvalidArgumentError } from 'commander';

export type Place =
  | { readonly at: 'sandbox'; readonly sandbox: string; readonly path: string }
  | { readonly at: 'here'; readonly path: string }
  | { readonly at: 'stdio' };

/** A path here that has a colon is told from a sandbox's by what begins it: `./a:b`, `/a:b`. */
export function placeArgument(text: string): Place {
  if (text === '-') return { at: 'stdio' };
  if (text === '') throw new InvalidArgumentError('It must not be empty.');
  const { sandbox, path } =
    /^(?<sandbox>[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}):(?<path>.*)$/s.exec(text)?.groups ?? {};
  if (sandbox === undefined || path === undefined) return { at: 'here', path: text };
  if (path === '')
    throw new InvalidArgumentError('A path must follow the colon; `.` is where programs begin.');
  return { at: 'sandbox', sandbox, path };
}
