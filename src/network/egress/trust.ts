/** Whom this host trusts to vouch for servers: its own bundle, where it has one. */
import { readFile } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import { errorCode } from '../../base/index.js';

/** Where distributions keep it. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** As `tls.connect` takes it; the roots that Node brings where the host has none. Throws if `file` is given and cannot be read. */
export async function hostTrust(file?: string): Promise<readonly string[]> {
  if (file !== undefined) return [await readFile(file, 'utf8')];
  for (const path of BUNDLES) {
    try {
      return [await readFile(path, 'utf8')];
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }
  return rootCertificates;
}
