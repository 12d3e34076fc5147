/**
 * The name that a client says first, in TLS or HTTP: an address of a large provider serves many customers, and only
 * one of them was allowed. Pure; fed with all that was said so far.
 *
 * Not handled: what is said inside TLS, or in later requests of a connection.
 */
import { parseHost } from '../name.js';

const MAX_FIRST_BYTES = 16_384;
const TLS_HANDSHAKE = 22;
const SERVER_NAME_EXTENSION = 0;
const PROTOCOLS_EXTENSION = 16;

/** The name; `more` until that can be told; `none` for what says no name, or is not the protocol. */
export type FirstName = { readonly name: string } | 'more' | 'none';

/** What a TLS client says of itself; `protocols` are those it would speak inside, as ALPN calls them. */
export type ClientHello = { readonly name: string; readonly protocols: readonly string[] } | 'more' | 'none';

/** The server name of a TLS ClientHello, and the protocols in it. */
export function tlsHello(said: Buffer): ClientHello {
  if (said.length > 0 && said[0] !== TLS_HANDSHAKE) return 'none';
  if (said.length < 5 || said.length < 5 + said.readUInt16BE(3)) return unlessTooLong(said);
  try {
    return readHello(said.subarray(0, 5 + said.readUInt16BE(3)));
  } catch (error) {
    if (error instanceof RangeError) return 'none'; // lengths that lie
    throw error;
  }
}

function readHello(hello: Buffer): ClientHello {
  let at = 5 + 4 + 2 + 32; // record, handshake, version, random
  at += 1 + hello.readUInt8(at); // session
  at += 2 + hello.readUInt16BE(at); // ciphers
  at += 1 + hello.readUInt8(at); // compression
  const end = at + 2 + hello.readUInt16BE(at);
  let name: FirstName | undefined;
  let protocols: string[] = [];
  for (at += 2; at < end; at += 4 + hello.readUInt16BE(at + 2)) {
    const type = hello.readUInt16BE(at);
    const body = hello.subarray(at + 4, at + 4 + hello.readUInt16BE(at + 2));
    // Of two names nobody knows which one a server takes.
    if (type === SERVER_NAME_EXTENSION) name = name === undefined ? serverNameIn(body) : 'none';
    if (type === PROTOCOLS_EXTENSION) protocols = protocolsIn(body);
  }
  return typeof name === 'object' ? { ...name, protocols } : 'none';
}

function serverNameIn(body: Buffer): FirstName {
  if (body.readUInt8(2) !== 0) return 'none'; // not a host name
  return nameOf(body.toString('latin1', 5, 5 + body.readUInt16BE(3)));
}

function protocolsIn(body: Buffer): string[] {
  const protocols: string[] = [];
  for (let at = 2; at < body.length; at += 1 + body.readUInt8(at))
    protocols.push(body.toString('latin1', at + 1, at + 1 + body.readUInt8(at)));
  return protocols;
}

/** The Host of the first request of HTTP/1; a request with several has none. */
export function httpName(said: Buffer): FirstName {
  const text = said.toString('latin1');
  if (text.length > 0 && !/^[A-Z]{1,20}($| )/.test(text.slice(0, 21))) return 'none';
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return unlessTooLong(said);
  const hosts = [...text.slice(0, end).matchAll(/\r\nhost[ \t]*:[ \t]*([^\r\n]*)/gi)];
  const [host] = hosts;
  return hosts.length === 1 ? nameOf((host?.[1] ?? '').trim().replace(/:\d+$/, '')) : 'none';
}

function nameOf(text: string): FirstName {
  const host = parseHost(text);
  return host !== undefined && 'name' in host ? { name: host.name } : 'none';
}

function unlessTooLong(said: Buffer): 'none' | 'more' {
  return said.length > MAX_FIRST_BYTES ? 'none' : 'more';
}
