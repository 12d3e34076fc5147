/** What a snapshot in a registry is called. */
import { RegistryFailed } from './errors.js';

/** A snapshot in a registry. */
export interface Remote {
  /** With the registry's host: `registry.example/team/base`. */
  readonly repository: string;
  readonly name: string;
}

/** `registry.example/team/base:v1`. Throws RegistryFailed for anything without a registry or a name. */
export function remoteOf(text: string): Remote {
  const match =
    /^((?:localhost|[^/:\s]*[.:[][^/\s]*)(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+):([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$/.exec(
      text,
    );
  const [, repository, name] = match ?? [];
  if (repository === undefined || name === undefined)
    throw new RegistryFailed(
      'malformed',
      `Not a snapshot of a registry: ${JSON.stringify(text)}; one is like registry.example/team/base:v1`,
    );
  return { repository, name };
}

export const hostOf = ({ repository }: Remote): string => repository.split('/')[0] ?? repository;
