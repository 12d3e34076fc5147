/** The header `Idempotency-Key`, and what it was sent with. */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { idempotencyKeySchema } from '../../contract/index.js';
import type { RequestKey } from '../../store/index.js';
import { parseRequestPart } from './validation.js';

const HEADER = 'idempotency-key';
const keyed = z.object({ [HEADER]: idempotencyKeySchema });

/**
 * The key of a request, undefined without one; `asked` are its validated parts, in which defaults are filled
 * in. Throws `invalid_request` for one that is malformed. Only digests: a key may tell more than is to be
 * written down.
 */
export function requestKey(
  headers: IncomingHttpHeaders,
  route: string,
  asked: Readonly<Record<string, unknown>>,
): RequestKey | undefined {
  const header = headers[HEADER];
  if (header === undefined) return undefined;
  const { [HEADER]: key } = parseRequestPart(keyed, { [HEADER]: header }, HEADER) as { [HEADER]: string };
  return { keySha256: sha256(key), requestSha256: sha256(JSON.stringify([route, asked])) };
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
