/**
 * The authority that signs for names whose requests are opened to put a secret into them. Sandboxes whose policy names a secret trust
 * it; its key is in one file of the state folder, 0600, and is never in a sandbox.
 *
 * Certificates begin two days ago, since a guest's clock may be behind, and are made when a name is first asked for.
 */
import 'reflect-metadata';
import { createPrivateKey, KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext } from 'node:tls';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { errorCode, monotonicMs, writeFileAtomic } from '../../base/index.js';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;
const CLOCK_BEHIND_MS = 2 * DAY_MS;
const AUTHORITY_DAYS = 3650;
const LEAF_DAYS = 30;
const LEAF_KEPT_MS = DAY_MS;
const MAX_LEAVES = 1024;
const PEM_KEY = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n?/;

type KeyPair = Awaited<ReturnType<typeof newKeys>>;

interface Leaf {
  readonly context: Promise<SecureContext>;
  readonly untilMs: number;
}

export class Authority {
  /** The certificate, as PEM. */
  readonly pem: string;
  readonly #certificate: X509Certificate;
  readonly #key: webcrypto.CryptoKey;
  readonly #leafKeys: KeyPair;
  readonly #leaves = new Map<string, Leaf>();

  private constructor(certificate: X509Certificate, key: webcrypto.CryptoKey, leafKeys: KeyPair) {
    this.pem = `${certificate.toString('pem').trim()}\n`;
    this.#certificate = certificate;
    this.#key = key;
    this.#leafKeys = leafKeys;
  }

  /** The one of the file, which is made with a new one if it does not exist. */
  static async open(path: string): Promise<Authority> {
    const text = await readFile(path, 'utf8').catch(async (error: unknown) => {
      if (errorCode(error) !== 'ENOENT') throw error;
      return makeFile(path);
    });
    const der = createPrivateKey(PEM_KEY.exec(text)?.[0] ?? '').export({ type: 'pkcs8', format: 'der' });
    const key = await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
    const certificate = new X509Certificate(text.replace(PEM_KEY, ''));
    return new Authority(certificate, key, await newKeys());
  }

  /** What a server of that name shows. */
  contextFor(name: string): Promise<SecureContext> {
    const known = this.#leaves.get(name);
    if (known !== undefined && known.untilMs > monotonicMs()) return known.context;
    const [oldest] = this.#leaves.keys();
    if (oldest !== undefined && this.#leaves.size >= MAX_LEAVES) this.#leaves.delete(oldest);
    const leaf = { context: this.#issue(name), untilMs: monotonicMs() + LEAF_KEPT_MS };
    this.#leaves.set(name, leaf);
    leaf.context.catch(() => this.#leaves.delete(name));
    return leaf.context;
  }

  async #issue(name: string): Promise<SecureContext> {
    const { publicKey, privateKey } = this.#leafKeys;
    const certificate = await X509CertificateGenerator.create({
      ...validFor(LEAF_DAYS),
      issuer: this.#certificate.subject,
      signingKey: this.#key,
      publicKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        // The name is here alone: that of a subject may have 64 characters at most.
        new SubjectAlternativeNameExtension([{ type: 'dns', value: name }], true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        await AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey, false, webcrypto),
      ],
    });
    return createSecureContext({ cert: certificate.toString('pem'), key: pemOf(privateKey) });
  }
}

async function makeFile(path: string): Promise<string> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...validFor(AUTHORITY_DAYS),
    name: `CN=bough egress ${randomBytes(4).toString('hex')}`,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
    ],
  });
  const text = `${certificate.toString('pem')}\n${pemOf(keys.privateKey)}`;
  await writeFileAtomic(path, text, { mode: 0o600, durable: true });
  return text;
}

function validFor(days: number): {
  serialNumber: string;
  notBefore: Date;
  notAfter: Date;
  signingAlgorithm: typeof ALGORITHM;
} {
  return {
    // Positive, as a number must be: its first byte is.
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    notBefore: new Date(Date.now() - CLOCK_BEHIND_MS),
    notAfter: new Date(Date.now() + days * DAY_MS),
    signingAlgorithm: ALGORITHM,
  };
}

function newKeys() {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

function pemOf(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }) as string;
}
