/**
 * The secrets of this host, as the daemon knows them: all but their values, which pass through it once, on their way into their files.
 * The egress reads those by itself.
 */
import { unixSeconds } from '../../base/index.js';
import { BoughError, type SecretRequest } from '../../contract/index.js';
import {
  headerProblem,
  parseSecretHost,
  prepareSecretsFolder,
  readSecrets,
  writeSecret,
  type SecretFile,
} from '../../network/index.js';

/** A secret as it is shown. */
export type SecretView = Omit<SecretFile, 'value'>;

export class Secrets {
  readonly folder: string;
  /** Those that were removed are not here; their files, without a value, are. */
  readonly #known: Map<string, SecretView>;
  #changed: Promise<unknown> = Promise.resolve();

  /** What is known of a folder; `open` reads it. */
  constructor(folder: string, known: readonly SecretFile[] = []) {
    this.folder = folder;
    const kept = known.filter(({ value }) => value !== undefined);
    this.#known = new Map(kept.map((secret) => [secret.name, viewOf(secret)]));
  }

  static async open(folder: string): Promise<Secrets> {
    await prepareSecretsFolder(folder);
    return new Secrets(folder, await readSecrets(folder));
  }

  list(): SecretView[] {
    return [...this.#known.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** Throws `secret_not_found` for the first that there is not. */
  require(names: readonly string[]): void {
    for (const name of names) if (!this.#known.has(name)) throw new BoughError('secret_not_found', { name });
  }

  /** On disk when this resolves. Throws `invalid_request`. */
  set(name: string, { value, ...rest }: SecretRequest): Promise<SecretView> {
    refuseUnusable(rest);
    const view = { name, ...rest, updatedAtUnix: unixSeconds() };
    return this.#inOrder(async () => {
      await writeSecret(this.folder, { ...view, value });
      this.#known.set(name, view);
      return view;
    });
  }

  /** What it was bound to stays known to the egress. Throws `secret_not_found`. */
  remove(name: string): Promise<void> {
    return this.#inOrder(async () => {
      const view = this.#known.get(name);
      if (view === undefined) throw new BoughError('secret_not_found', { name });
      await writeSecret(this.folder, { ...view, updatedAtUnix: unixSeconds() });
      this.#known.delete(name);
    });
  }

  /** Of two changes at once the later one is what is known and what is on disk. */
  #inOrder<T>(change: () => Promise<T>): Promise<T> {
    const made = this.#changed.then(change);
    this.#changed = made.catch(() => undefined);
    return made;
  }
}

function viewOf({ name, hosts, header, format, updatedAtUnix }: SecretFile): SecretView {
  return { name, hosts, header, format, updatedAtUnix };
}

function refuseUnusable({ hosts, header }: Pick<SecretRequest, 'hosts' | 'header'>): void {
  for (const [index, text] of hosts.entries()) {
    const host = parseSecretHost(text);
    if ('problem' in host)
      throw new BoughError('invalid_request', { field: `hosts.${index}`, problem: host.problem });
  }
  const problem = headerProblem(header);
  if (problem !== undefined) throw new BoughError('invalid_request', { field: 'header', problem });
}
