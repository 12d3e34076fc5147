/**
 * Keys: one that signs what leaves this host, and those whose snapshots are believed.
 *
 *     <hub dir>/key.pem                       private, of this host; its public half is trusted too
 *     <hub dir>/trusted/<fingerprint>.pem     public
 *
 * They are read whenever one is needed, so that a daemon need not be told of a new one. A fingerprint is sha256 of the public key in
 * DER, for people to compare once.
 *
 * Not handled: keys that expire or are called back; remove the file.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { lstat, mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode, messageOf, namesIn, writeFileAtomic } from '../base/index.js';
import { BadKey } from './errors.js';

const KEY_FILE = 'key.pem';
const TRUSTED_FOLDER = 'trusted';

/** The keys of a host, as they are now. */
export interface Keyring {
  readonly signer: KeyObject | undefined;
  /** By fingerprint. */
  readonly trusted: ReadonlyMap<string, KeyObject>;
}

/** A public key for people. */
export interface PublicKey {
  readonly fingerprint: string;
  readonly pem: string;
}

/** What there is; nothing where there is no such folder. Throws BadKey. */
export async function readKeyring(dir: string): Promise<Keyring> {
  const signer = await readSigner(join(dir, KEY_FILE));
  const trusted = new Map<string, KeyObject>();
  if (signer !== undefined) trust(trusted, createPublicKey(signer));
  const folder = join(dir, TRUSTED_FOLDER);
  for (const name of await namesIn(folder)) {
    if (name.endsWith('.pem') && !name.startsWith('.'))
      trust(trusted, publicKeyOf(await readFile(join(folder, name), 'utf8')));
  }
  return { signer, trusted };
}

/** A keyring of somebody else, by its public keys. Throws BadKey. */
export function keyringOf(pems: readonly string[]): Pick<Keyring, 'trusted'> {
  const trusted = new Map<string, KeyObject>();
  for (const pem of pems) trust(trusted, publicKeyOf(pem));
  return { trusted };
}

/** Makes the key that signs. Throws BadKey where there is one already. */
export async function generateKey(dir: string): Promise<PublicKey> {
  const path = join(dir, KEY_FILE);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const file = await open(path, 'wx', 0o600).catch((error: unknown) => {
    if (errorCode(error) !== 'EEXIST') throw error;
    throw new BadKey(`There is a key already: ${path}`);
  });
  try {
    await file.writeFile(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return described(publicKey);
}

/** Believes from now on what that key has signed. Throws BadKey for text that is no public key. */
export async function trustKey(dir: string, pem: string): Promise<PublicKey> {
  const key = described(publicKeyOf(pem));
  const path = join(dir, TRUSTED_FOLDER, `${key.fingerprint}.pem`);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFileAtomic(path, key.pem, { mode: 0o644, durable: true });
  return key;
}

/** The keys for people: which signs, and which are believed. */
export function listed({ signer, trusted }: Keyring): (PublicKey & { readonly signs: boolean })[] {
  const own = signer && fingerprintOf(createPublicKey(signer));
  return [...trusted.values()].map((key) => ({ ...described(key), signs: fingerprintOf(key) === own }));
}

/** A signature of a text, and whose it is. */
export interface Signature {
  readonly bytes: Buffer;
  readonly fingerprint: string;
}

export function signed(text: string, signer: KeyObject): Signature {
  return {
    bytes: sign(null, Buffer.from(text), signer),
    fingerprint: fingerprintOf(createPublicKey(signer)),
  };
}

export const isSignedBy = (text: string, { bytes }: Signature, key: KeyObject): boolean =>
  verify(null, Buffer.from(text), key, bytes);

function trust(trusted: Map<string, KeyObject>, key: KeyObject): void {
  trusted.set(fingerprintOf(key), key);
}

function fingerprintOf(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

const described = (key: KeyObject): PublicKey => ({
  fingerprint: fingerprintOf(key),
  pem: key.export({ type: 'spki', format: 'pem' }).toString(),
});

function publicKeyOf(pem: string): KeyObject {
  // A private key has a public half, which would be taken without a word.
  if (pem.includes('PRIVATE KEY'))
    throw new BadKey('This is a private key, which must not leave its host: give the public one');
  return ed25519(pem, createPublicKey);
}

async function readSigner(path: string): Promise<KeyObject | undefined> {
  try {
    const { mode } = await lstat(path);
    if ((mode & 0o077) !== 0) throw new BadKey(`Others may read ${path}: chmod 0600 it`);
    return ed25519(await readFile(path, 'utf8'), createPrivateKey);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function ed25519(pem: string, read: (pem: string) => KeyObject): KeyObject {
  try {
    const key = read(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch (error) {
    throw new BadKey(`Not a key in PEM: ${messageOf(error)}`, { cause: error });
  }
  throw new BadKey('Not an ed25519 key');
}
