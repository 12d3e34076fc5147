/**
 * What the egress needs to put secrets into requests: the secrets, an authority that guests trust, and whom this host trusts. Told of by
 * the daemon, read from the folder by the egress: values pass through no socket between the two.
 */
import { join } from 'node:path';
import type { SecureContext } from 'node:tls';
import type { Authority } from './authority.js';
import { SecretBook } from './secret-book.js';
import { hostTrust } from './trust.js';

export interface SecretsFolder {
  readonly folder: string;
  /** Whom to trust, in place of the host's own bundle. */
  readonly trustFile?: string | undefined;
}

export class Secrets {
  readonly book = new SecretBook();
  #authority: Authority | undefined;
  #trust: readonly string[] = [];

  get trust(): readonly string[] {
    return this.#trust;
  }

  /** Reads all anew. In force when this resolves with the authority's certificate, as PEM. */
  async read({ folder, trustFile }: SecretsFolder): Promise<string> {
    // Most hosts have no secret: what makes certificates is loaded by those that do.
    const { Authority } = await import('./authority.js');
    this.#authority ??= await Authority.open(join(folder, 'authority.pem'));
    this.#trust = await hostTrust(trustFile);
    await this.book.read(folder);
    return this.#authority.pem;
  }

  contextFor(name: string): Promise<SecureContext> {
    if (this.#authority === undefined) throw new TypeError('No secret was read');
    return this.#authority.contextFor(name);
  }
}
