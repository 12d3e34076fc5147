/**
 * Where a program runs, and what its environment says of the daemon. There is none in a browser, and Deno may refuse to tell: then nothing
 * is said.
 */

declare const process: { readonly env: Readonly<Record<string, string | undefined>> } | undefined;

/** Where the daemon is when nobody says. */
export const defaultUrl = 'http://127.0.0.1:8889';

/** The variable's value; undefined when it is empty, too. */
export function fromEnvironment(name: 'BOUGH_URL' | 'BOUGH_TOKEN'): string | undefined {
  try {
    const value = typeof process === 'undefined' ? undefined : process.env[name];
    return value === '' ? undefined : value;
  } catch {
    return undefined;
  }
}

/** Of all runtimes, browsers alone call themselves so, in their workers too. */
export function isBrowser(): boolean {
  return typeof navigator !== 'undefined' && navigator.userAgent.startsWith('Mozilla/');
}
