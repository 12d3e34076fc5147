/**
 * Which part of a list is wanted: selectors over metadata, and pages.
 *
 * A selector is a comma-separated list of requirements, all of which have to hold: `key=value`, `key!=value` (also of what has no such
 * key), `key` (has it), `!key` (has it not).
 *
 * A page ends with a cursor: where its last item stands in the order of the list, oldest first. Nothing is remembered between two pages, so
 * what is made or removed meanwhile moves no other item.
 *
 * Not handled: keys and values with `,`, `=` or `!` in them cannot be selected by.
 */
import { z } from 'zod';

type Metadata = Readonly<Record<string, string>>;
type Requirement = (metadata: Metadata) => boolean;

const MAX_SELECTOR_CHARACTERS = 4096;

/** A selector as it is sent. */
export const selectorSchema = z
  .string()
  .max(MAX_SELECTOR_CHARACTERS)
  .refine((text) => requirementsOf(text) !== undefined, 'must be like "a=b,c!=d,e,!f"')
  .describe('of those whose metadata is so, such as `a=b,c!=d,e,!f`');

/** Whether metadata is as `selector` wants it. */
export function isSelected(selector: string, metadata: Metadata = {}): boolean {
  return requirementsOf(selector)?.every((holds) => holds(metadata)) ?? false;
}

/** Undefined for a text that is no selector. */
function requirementsOf(text: string): readonly Requirement[] | undefined {
  const requirements = text.split(',').map((part) => requirementOf(part.trim()));
  return requirements.every((each) => each !== undefined) ? requirements : undefined;
}

const PART =
  /^(?<not>!?)\s*(?<key>[^=!,\s](?:[^=!,]*[^=!,\s])?)\s*(?:(?<operator>==?|!=)(?<value>[^=!,]*))?$/;

function requirementOf(part: string): Requirement | undefined {
  const { not, key = '', operator, value } = PART.exec(part)?.groups ?? {};
  if (not === undefined || (not !== '' && operator !== undefined)) return undefined;
  const found = (metadata: Metadata): string | undefined =>
    Object.hasOwn(metadata, key) ? metadata[key] : undefined;
  if (operator === undefined) return (metadata) => (found(metadata) === undefined) === (not === '!');
  const wanted = value?.trim();
  return (metadata) => (found(metadata) === wanted) === (operator !== '!=');
}

const MAX_PAGE = 1000;
const CURSOR = /^\d{1,16}\.[A-Za-z0-9_-]{1,64}$/;

/** Query fields of lists that come in pages. */
export const pageFields = {
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_PAGE)
    .optional()
    .describe('at most so many, oldest first; the header `x-next-after` is there when there are more'),
  after: z
    .string()
    .regex(CURSOR, 'must be what the header "x-next-after" of the page before said')
    .optional()
    .describe('what comes after the page whose `x-next-after` this was'),
};

/** The header that every list in pages may have. */
export const NEXT_AFTER = 'x-next-after';
export const pageHeaders = { [NEXT_AFTER]: 'give it as `after` for the next page; absent on the last one' };

/** What stands in a list: when it was made, and what it is called. */
export interface Listed {
  readonly createdAtUnix: number;
  readonly name: string;
}

/** A part of a list, and the cursor after it, if there is more. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next?: string;
}

/** The page that is asked for; the list as it is when none is. */
export function pageOf<T>(
  items: readonly T[],
  { limit, after }: { readonly limit?: number | undefined; readonly after?: string | undefined },
  listed: (item: T) => Listed,
): Page<T> {
  if (limit === undefined && after === undefined) return { items };
  const placed = items.map((item) => ({ item, at: listed(item) })).sort((a, b) => order(a.at, b.at));
  const start = after === undefined ? undefined : placeOf(after);
  const rest = start === undefined ? placed : placed.filter(({ at }) => order(at, start) > 0);
  const page = rest.slice(0, limit ?? MAX_PAGE);
  const last = page.at(-1);
  return {
    items: page.map(({ item }) => item),
    ...(last !== undefined && page.length < rest.length ? { next: cursorOf(last.at) } : {}),
  };
}

function order(a: Listed, b: Listed): number {
  return a.createdAtUnix - b.createdAtUnix || (a.name < b.name ? -1 : Number(a.name > b.name));
}

const cursorOf = ({ createdAtUnix, name }: Listed): string => `${createdAtUnix}.${name}`;

function placeOf(cursor: string): Listed {
  const dot = cursor.indexOf('.');
  return { createdAtUnix: Number(cursor.slice(0, dot)), name: cursor.slice(dot + 1) };
}
