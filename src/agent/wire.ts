/**
 * Names and units as the agent's protocol has them, snake_case and seconds, and as everything here has them,
 * camelCase and milliseconds. Agents of old snapshots speak it too, so it stays on the wire.
 */

/** How deep an answer's objects and arrays are renamed: a guest may nest without end, no answer of ours does. */
const ANSWER_DEPTH = 3;

/** A request's fields, without those that are undefined. What a field holds stays as it is. */
export function toWire(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    known.map(([name, value]) =>
      typeof value === 'number' && name.endsWith('Ms')
        ? [snakeCase(`${name.slice(0, -'Ms'.length)}Secs`), value / 1000]
        : [snakeCase(name), value],
    ),
  );
}

/** An answer's objects, with the names that schemas here use. */
export function fromWire(value: unknown, depth = ANSWER_DEPTH): unknown {
  if (depth === 0 || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => fromWire(each, depth - 1));
  const renamed = Object.entries(value).map(([name, field]) => [camelCase(name), fromWire(field, depth - 1)]);
  return Object.fromEntries(renamed) as unknown;
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
