/**
 * Fields that several schemas share: names, paths, counts. One validator each, for the API, the CLI and the
 * store.
 */

import { z } from 'zod';

/** A snapshot's name. Never a path: no dots, no slashes. */
export const tagSchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, "_" or "-"')
  .describe('snapshot name, `^[A-Za-z0-9_-]{1,64}$`');

/** What a client calls a request by, to ask again without having it done again. */
export const idempotencyKeySchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters');

/** A sandbox's id: opaque, unguessable, lower-case letters and digits. */
export const sandboxIdSchema = z
  .string()
  .regex(/^[a-z0-9]{1,64}$/, 'must be lower-case letters and digits')
  .describe('sandbox id, opaque');

/** A sandbox's name, unique among those there are. What could be an id is none: it would mean two things. */
export const sandboxNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be a name: letters, digits, ".", "_" or "-", at most 63')
  .refine(
    (name) => !/^[a-z0-9]{16}$/.test(name),
    'must not look like an id, as 16 lower-case letters and digits do',
  )
  .describe('a name that no other sandbox has, usable wherever an id is: letters, digits, ".", "_", "-"');

/** The name of a built image. */
export const imageNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be an image name: letters, digits, ".", "_" or "-"')
  .describe("a built image's name");

/** Text that can reach a system call: no NUL. */
export const plainTextSchema = z.string().refine((text) => !text.includes('\0'), 'must not contain NUL');

/** A user of a guest, by name or number, perhaps with a group. */
export const guestUserSchema = z
  .string()
  .regex(/^[^:\0]{1,64}(:[^:\0]{1,64})?$/, 'must be a user, or a user and a group with a colon between them')
  .describe(
    "the image's user that it runs as, by name or number, perhaps with a group: `app`, `1000:1000`; by default the image's, which is root unless the image says another",
  );

/** An absolute path on the host. */
export const absolutePathSchema = plainTextSchema
  .max(4095)
  .refine((path) => path.startsWith('/'), 'must be an absolute path')
  .describe('absolute path on the host');

/** Seconds since 1970, whole. */
export const unixSecondsSchema = z.int().describe('seconds since 1970');

/** A count of bytes. */
export const bytesSchema = z.int().min(0).describe('bytes');

/** Milliseconds, with decimals. */
export const millisecondsSchema = z.number().min(0).describe('milliseconds, may have decimals');

/** How long a call into the guest may take. */
export const timeoutSecsSchema = z.number().positive().max(3600).describe('seconds, at most 3600');

/** Accepted for clients of the API's first form, and without effect. */
export const ignoredSchema = z.unknown().optional().describe('accepted, without effect');

/** A switch in a query: there, empty, `1` or `true`. */
export const flagSchema = z
  .enum(['', 'true', '1', 'false', '0'])
  .optional()
  .transform((text) => text === '' || text === 'true' || text === '1');

/** A whole number in a path or a query. */
export const numberTextSchema = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,14})$/, 'must be a whole number')
  .transform(Number);
