/** YAML. Its library is loaded by the first who asks for it: every other command starts sooner without. */
import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);

/** A document, with long text on one line. */
export function yamlOf(value: unknown): string {
  const { stringify } = load('yaml') as typeof import('yaml');
  return stringify(value, { lineWidth: 0 });
}
