/**
 * Headers on their way through. Nothing of a message is passed on as it was written: it was parsed, and is written anew, so what two
 * parsers could read in two ways is read in one.
 */
import type { Injection } from './secret-book.js';

/** For one hop of the way, answered there, or of how the message is framed. */
const HOP_BY_HOP = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization'],
  ...['transfer-encoding', 'te', 'trailer', 'upgrade', 'http2-settings', 'expect'],
]);

/** What says where a message ends and whom it is for is never of one hop, whatever its sender names. */
const OF_THE_MESSAGE = new Set(['content-length', 'host']);

/** As `headersDistinct` of Node has them. */
export type Headers = Readonly<Record<string, readonly string[] | undefined>>;

/** Those that are for the other end: neither of the hop, nor named by its `connection` header. */
export function endToEnd(headers: Headers): Record<string, string[]> {
  const named = (headers['connection'] ?? []).flatMap((text) =>
    text.split(',').map((name) => name.trim().toLowerCase()),
  );
  const isKept = (name: string): boolean =>
    OF_THE_MESSAGE.has(name) || (!HOP_BY_HOP.has(name) && !named.includes(name));
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, values]) =>
      values === undefined || !isKept(name) ? [] : [[name, [...values]]],
    ),
  );
}

/** With what is injected in the place of what was there. */
export function injected<T extends object>(headers: T, injections: readonly Injection[]): T {
  return { ...headers, ...Object.fromEntries(injections.map(({ header, text }) => [header, text])) };
}
