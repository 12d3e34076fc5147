/**
 * Secrets of this host: values that are put into requests of sandboxes on their way out, and never into a sandbox. The value is written
 * and never answered: no schema of an answer has a place for it.
 */
import { z } from 'zod';
import { unixSecondsSchema } from '../fields.js';
import { endpoints } from './endpoints.js';
import type { RouteTable } from './route.js';

/** Bytes that may stand in a header, none of them at an end that a parser would cut off. */
const VALUE = /^[!-~]([ -~]*[!-~])?$/;
const HEADER = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
const PLACE = '{}';

export const secretNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, _ or -')
  .describe('what policies call it by');

const hostSchema = z
  .string()
  .min(1)
  .max(300)
  .describe('a name, or `*.` and a name (all below it), with `:` and a port unless that is 443');

const headerSchema = z
  .string()
  .regex(HEADER, 'must be the name of a header')
  .default('Authorization')
  .describe('the header that is set; one that the program in the sandbox has set is replaced');

const formatSchema = z
  .string()
  .max(256)
  .refine((text) => text.split(PLACE).length === 2, `must have ${PLACE} in it once, where the value goes`)
  .refine((text) => VALUE.test(text), 'must be printable ASCII')
  .default('Bearer {}')
  .describe('what the header says, with `{}` for the value');

export const secretInputSchema = z.strictObject({
  value: z
    .string()
    .min(1)
    .max(8192)
    .regex(VALUE, 'must be printable ASCII, without spaces or line ends around it')
    .describe('never answered, logged or given to a sandbox'),
  hosts: z
    .array(hostSchema)
    .min(1)
    .max(64)
    .describe('where it is sent; nowhere else, whatever a policy says'),
  header: headerSchema,
  format: formatSchema,
});
/** What `setSecret` takes, with defaults filled in. */
export type SecretRequest = z.output<typeof secretInputSchema>;
export type SecretRequestInput = z.input<typeof secretInputSchema>;

export const secretSchema = z.object({
  name: secretNameSchema,
  hosts: z.array(z.string()),
  header: z.string(),
  format: z.string(),
  updated_at_unix: unixSecondsSchema,
});
/** A secret as it is shown: all but its value. */
export type Secret = z.infer<typeof secretSchema>;

const byName = z.object({ name: secretNameSchema });

/** Routes of secrets. */
export const secretRoutes = {
  listSecrets: {
    ...endpoints.listSecrets,
    kind: 'json',
    scope: 'read',
    summary: 'Secrets of this host, without their values.',
    resource: 'secrets',
    replies: { 200: z.array(secretSchema) },
    errors: [],
  },
  setSecret: {
    ...endpoints.setSecret,
    kind: 'json',
    scope: 'admin',
    summary:
      'Make a secret, or replace one as a whole. Requests that begin after the answer get the new value, those of running sandboxes too.',
    resource: 'secrets',
    params: byName,
    body: secretInputSchema,
    replies: { 200: secretSchema },
    errors: ['invalid_request', 'egress_unavailable'],
  },
  removeSecret: {
    ...endpoints.removeSecret,
    kind: 'json',
    scope: 'admin',
    summary:
      'Remove a secret. From then on requests of running sandboxes to its hosts are answered with 502 there, and never go on without it.',
    resource: 'secrets',
    params: byName,
    replies: { 204: null },
    errors: ['invalid_request', 'secret_not_found', 'egress_unavailable'],
  },
} as const satisfies RouteTable;
