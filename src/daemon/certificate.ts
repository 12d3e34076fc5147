/**
 * The certificate the daemon shows, and its key: read from two files, and again whenever they change.
 *
 * Invariant: what is shown is always a pair that belongs together. Two files are never replaced at one moment, so a pair that does not fit is
 * nothing unusual: the earlier one stays until the files fit again, and that is told.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import { messageOf } from '../base/index.js';
import type { Emit } from '../contract/index.js';
import { followFiles, versionsOf, type Following, type Versions } from './auth/follow.js';
import { ConfigError, type CertificateFiles } from './config.js';

/** What the two files say. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Which versions of the files these are. */
  readonly read: Versions;
}

/** What is the same whatever the certificate. */
export const TLS_OPTIONS = { minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] } as const;

/** Reads both. Throws `ConfigError` for files that cannot be read, or are no certificate and its key. */
export async function readCertificate({ certFile, keyFile }: CertificateFiles): Promise<Certificate> {
  try {
    const read = await versionsOf([certFile, keyFile]);
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    createSecureContext({ cert, key });
    return { cert, key, read };
  } catch (cause) {
    const problem = messageOf(cause);
    throw new ConfigError(`Cannot use the certificate ${certFile} with the key ${keyFile}: ${problem}`, {
      cause,
    });
  }
}

/** Shows a server's new clients the certificate that is in the files then, until it is closed; who is connected already is not disturbed. */
export function followCertificate(
  files: CertificateFiles,
  since: Versions,
  server: Server,
  emit: Emit,
): Following {
  return followFiles([files.certFile, files.keyFile], since, async () => {
    try {
      const { cert, key } = await readCertificate(files);
      server.setSecureContext({ ...TLS_OPTIONS, cert, key });
      emit('certificate.reloaded', { validTo: new X509Certificate(cert).validTo });
    } catch (err) {
      emit('certificate.not-reloaded', { err });
    }
  });
}
