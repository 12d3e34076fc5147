/** Damage by chance to bytes and to JSON, for parsers that must survive whatever they are given. */
import type { Seeded } from './seeded.js';

/** Texts that parsers stumble over. */
const TOKENS = [
  ...['1e999', '-0', '9007199254740993', '-1', '0.5', '99', 'null', 'true', '[]', '{}', '""', '"a":', ',,'],
  ...['"__proto__":{"version":9},', '"\\ud800"', '\0', '\ufeff', '[[[[[[[[', '../../etc/passwd', '\u{1f600}'],
];

/** Stands for arrays in each other: what writes JSON cannot write them. */
const DEEP = 'deep \u0001';
const DEEP_TEXT = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

/** Values that do not belong where they are put. */
const VALUES: readonly (() => unknown)[] = [
  ...[null, true, -1, 0, 0.5, 2 ** 53, 1e300, '', 'x'.repeat(70_000), '../x', 'a\0b', [], {}].map(
    (value) => () => value,
  ),
  () => Array.from({ length: 10_000 }, () => [0, 1]),
  () => DEEP,
];

/**
 * The bytes with one to four things done to them: bits flipped, parts cut out, doubled, overwritten or put
 * in.
 */
export function mutateBytes(bytes: Buffer, random: Seeded): Buffer {
  let result = bytes;
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(result.length + 1);
    const until = Math.min(result.length, at + random.below(random.pick([2, 16, 400])));
    const [head, part, tail] = [result.subarray(0, at), result.subarray(at, until), result.subarray(until)];
    const middle = random.pick<() => Buffer[]>([
      () => [Buffer.from(part.map((byte) => byte ^ (1 << random.below(8))))],
      () => [],
      () => [part, part],
      () => [Buffer.from(part.map(() => random.below(256)))],
      () => [part, Buffer.from(random.pick(TOKENS))],
    ])();
    result = Buffer.concat([head, ...middle, tail]);
  }
  return result;
}

/** The text of a JSON value in which one part is replaced, removed, doubled or joined by a stranger. */
export function mutateJson(value: object, random: Seeded): Buffer {
  const copy = structuredClone(value) as Record<string, unknown>;
  let parent = copy;
  for (;;) {
    const keys = Object.keys(parent);
    const key = keys.length === 0 ? 'first' : random.pick(keys);
    const child = parent[key];
    if (typeof child === 'object' && child !== null && random.below(3) > 0) {
      parent = child as Record<string, unknown>;
      continue;
    }
    random.pick([
      () => (parent[key] = random.pick(VALUES)()),
      () => Reflect.deleteProperty(parent, key),
      () => (parent[`${key}2`] = child),
      () => Array.isArray(parent) && parent.push(structuredClone(child)),
    ])();
    return Buffer.from(JSON.stringify(copy).replace(JSON.stringify(DEEP), DEEP_TEXT));
  }
}
