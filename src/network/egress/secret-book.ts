/** The secrets as the egress has them: what is to be set in a request of a sandbox to a name. */
import { isBoundTo, readSecrets, type SecretFile } from '../secret.js';

/** A header of a request. */
export interface Injection {
  readonly secret: string;
  /** In lower case. */
  readonly header: string;
  /** Undefined once the secret was removed: the request must not go on without it. */
  readonly text: string | undefined;
}

export class SecretBook {
  #secrets: ReadonlyMap<string, SecretFile> = new Map();

  /** In force when this resolves; after a failure what was known is. */
  async read(folder: string): Promise<void> {
    this.#secrets = new Map((await readSecrets(folder)).map((secret) => [secret.name, secret]));
  }

  /** The first of these names that nothing is known of. */
  unknownOf(names: readonly string[]): string | undefined {
    return names.find((name) => !this.#secrets.has(name));
  }

  /** What requests to this name and port get, of the secrets that a policy names. Of two for one header the first named is taken. */
  injectionsFor(names: readonly string[], host: string, port: number): Injection[] {
    const byHeader = new Map<string, Injection>();
    for (const name of names) {
      const secret = this.#secrets.get(name);
      if (secret === undefined || !isBoundTo(secret, host, port)) continue;
      const { value, format } = secret;
      const header = secret.header.toLowerCase();
      // A function, so that no `$` in a value means anything.
      const text = value === undefined ? undefined : format.replace('{}', () => value);
      if (!byHeader.has(header)) byHeader.set(header, { secret: name, header, text });
    }
    return [...byHeader.values()];
  }
}
