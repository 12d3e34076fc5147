/** Names that may be given to an image: a definition of the checkout has its own, and would win. */
import { definitionNames, NAME } from './definition.js';
import { ImageBuildFailed } from './errors.js';

/** What fails otherwise ("import an image"), and what helps. */
export interface Naming {
  readonly attempt: string;
  readonly remedy: string;
}

/** Nobody could say which of two images is meant. Throws ImageBuildFailed. */
export async function freeName(name: string, { attempt, remedy }: Naming): Promise<string> {
  const problem = !NAME.test(name)
    ? 'a name has lower-case letters, digits and "-"'
    : (await definitionNames()).includes(name)
      ? 'a definition has that name'
      : undefined;
  if (problem === undefined) return name;
  throw new ImageBuildFailed(`Cannot ${attempt} as "${name}": ${problem}; ${remedy}`);
}
