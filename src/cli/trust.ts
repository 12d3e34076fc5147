/** HTTPS to a daemon whose certificate is of an authority that this machine does not know. */
import { readFile } from 'node:fs/promises';
import { createSecureContext, rootCertificates } from 'node:tls';
import { messageOf } from '../base/index.js';
import { UsageError } from './exit.js';

/** What is used of it. Node's own `fetch` is the same, but takes no certificates. */
interface Undici {
  readonly Agent: new (options: { readonly connect: { readonly ca: readonly string[] } }) => object;
  readonly fetch: (url: string, init: object) => Promise<Response>;
}

/** A `fetch` that trusts the certificates in the file too, and checks names as ever. Throws `UsageError` for a file that has none. */
export async function fetchTrusting(caFile: string): Promise<typeof fetch> {
  const ca = [...rootCertificates, await readCertificates(caFile)];
  // Loaded where it is needed only. Its types are of another Response than the global one.
  const undici = (await import('undici' as string)) as Undici;
  const dispatcher = new undici.Agent({ connect: { ca } });
  const trusting: unknown = (url: string, init: object) => undici.fetch(url, { ...init, dispatcher });
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
