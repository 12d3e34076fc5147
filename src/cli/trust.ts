/** HTTPS to a daemon whose certificate is of an authority that this machine does not know. */
import { readFile } from 'node:fs/promises';
import { createSecureContext, rootCertificates } from 'node:tls';
import { messageOf } from '../base/index.js';
import { UsageError } from './exit.js';

/** Certificates to trust: the usual ones, and those of the file. Throws `UsageError` for a file that has none. */
export async function certificatesWith(caFile: string): Promise<string[]> {
  return [...rootCertificates, await readCertificates(caFile)];
}

/** A `fetch` that trusts these certificates, and checks names as ever. Node's own `fetch` is the same, but takes none. */
export async function fetchTrusting(ca: string[]): Promise<typeof fetch> {
  // Loaded where it is needed only. Its types are of another Response than the global one.
  const undici = await import('undici');
  const dispatcher = new undici.Agent({ connect: { ca } });
  const trusting: unknown = (url: string, init: Parameters<typeof undici.fetch>[1]) =>
    undici.fetch(url, { ...init, dispatcher });
  return trusting as typeof fetch;
}

async function readCertificates(caFile: string): Promise<string> {
  try {
    const text = await readFile(caFile, 'utf8');
    if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new Error('it holds no certificate in PEM');
    createSecureContext({ ca: text });
    return text;
  } catch (error) {
    throw new UsageError(`Cannot use the file of --tls-ca ${caFile}: ${messageOf(error)}`);
  }
}
