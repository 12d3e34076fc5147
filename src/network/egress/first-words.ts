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

/** The name; `more` until that can be told; `none` for what says no name, or is not the protocol. */
export type FirstName = { readonly name: string } | 'more' | 'none';

/** The server name of a TLS ClientHello. */
export function tlsName(said: Buffer): FirstName {
  if (said.length > 0 && said[0] !== TLS_HANDSHAKE) return 'none';
  if (said.length < 5 || said.length < 5 + said.readUInt16BE(3)) return unlessTooLong(said);
  try {
    return nameInHello(said.subarray(0, 5 + said.readUInt16BE(3)));
  } catch (error) {
    if (error instanceof RangeError) return 'none'; // lengths that lie
    throw error;
  }
}

function nameInHello(hello: Buffer): FirstName {
  let at = 5 + 4 + 2 + 32; // record, handshake, version, random
  at += 1 + hello.readUInt8(at); // session
  at += 2 + hello.readUInt16BE(at); // ciphers
  at += 1 + hello.readUInt8(at); // compression
  const end = at + 2 + hello.readUInt16BE(at);
  for (at += 2; at < end; at += 4 + hello.readUInt16BE(at + 2)) {
    if (hello.readUInt16BE(at) !== SERVER_NAME_EXTENSION) continue;
    if (hello.readUInt8(at + 6) !== 0) return 'none'; // not a host name
    const length = hello.readUInt16BE(at + 7);
    return nameOf(hello.toString('latin1', at + 9, at + 9 + length));
  }
  return 'none';
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

function unlessTooLong(said: Buffer): FirstName {
  return said.length > MAX_FIRST_BYTES ? 'none' : 'more';
}
