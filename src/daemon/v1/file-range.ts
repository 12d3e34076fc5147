/** Of a request's headers, what they say of the part of a file that is wanted, and of what the client has already. */
import type { IncomingHttpHeaders } from 'node:http';
import type { FileRange } from '../../agent/index.js';

/** The one range that is asked for. Undefined for none, and for several or what is no range, which may be ignored. */
export function rangeOf({ range }: IncomingHttpHeaders): FileRange | undefined {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec((range ?? '').trim());
  const [, first = '', end = ''] = found ?? [];
  if (found === null || (first === '' && end === '')) return undefined;
  if (first === '') return { last: Number(end) };
  if (end === '') return { from: Number(first) };
  return Number(end) < Number(first)
    ? undefined
    : { from: Number(first), length: Number(end) - Number(first) + 1 };
}

/** Whether the client has it: `If-None-Match` names this tag. */
export function hasAlready(headers: IncomingHttpHeaders, etag: string): boolean {
  const tags = (headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes(etag) || tags.includes('*');
}

/** Whether a range is of use to the client: it has the beginning of this very file, or does not say. */
export function continues(headers: IncomingHttpHeaders, etag: string): boolean {
  const condition = headers['if-range'];
  return condition === undefined || String(condition).trim() === etag;
}
