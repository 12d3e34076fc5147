/** Names of requests, in answers and in the log. */

import { randomBytes } from 'node:crypto';

/** 16 hex digits of chance. */
export const newRequestId = (): string => randomBytes(8).toString('hex');
