/**
 * Files of a sandbox. Paths are resolved inside the guest, as one of its users; relative ones begin in the working directory of its programs.
 *
 * A name in a guest is bytes. Where it is text it is `path`, where it is none `path_base64`, in requests and in answers.
 */

import { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import {
  bytesSchema,
  flagSchema,
  guestUserSchema,
  numberTextSchema,
  plainTextSchema,
  unixSecondsSchema,
} from '../fields.js';
import { endpoints } from './endpoints.js';
import { byId, guestErrors, type RouteTable } from './route.js';
import { NDJSON_TYPE } from './stream-types.js';

const MAX_PATH_BYTES = 4096;

const pathSchema = plainTextSchema
  .min(1)
  .max(MAX_PATH_BYTES)
  .refine((text) => !/\p{Surrogate}/u.test(text), 'must be well-formed text');
const pathBase64Schema = z
  // What is none must not reach the look into it.
  .base64({ abort: true })
  .min(4)
  .max((MAX_PATH_BYTES / 3) * 4 + 4)
  .refine((text) => !atob(text).includes('\0'), 'must not contain NUL');
const modeSchema = z
  .string()
  .regex(/^[0-7]{1,4}$/, 'must be an octal number such as 0644')
  .transform((text) => Number.parseInt(text, 8))
  .optional();

/** Whose fields every call about a path has. */
export const fileSubject = {
  path: pathSchema.optional(),
  path_base64: pathBase64Schema.optional().describe('instead of `path`, for one that is no text'),
  user: guestUserSchema
    .optional()
    .describe(
      'whom it is done as, of the image: `app`, `1000:1000`; by default the image’s user, which is root unless the image says another',
    ),
};

const destination = {
  to: pathSchema.optional(),
  to_base64: pathBase64Schema.optional().describe('instead of `to`'),
};

type Named = Readonly<Record<string, unknown>>;

/** Refuses what names nothing, or two things. */
function exactlyOne(name: string) {
  return (value: Named, context: z.RefinementCtx): void => {
    if ((value[name] === undefined) === (value[`${name}_base64`] === undefined))
      context.addIssue({
        code: 'custom',
        path: [name],
        message: `or "${name}_base64" must be given, and not both`,
      });
  };
}

/** For schemas of what has one path. */
export const exactlyOnePath = exactlyOne('path');

export const filePathQuerySchema = z.strictObject(fileSubject).superRefine(exactlyOnePath);
export const writeFileQuerySchema = z
  .strictObject({
    ...fileSubject,
    mode: modeSchema.describe(
      'octal, such as 0644, which a new file has by default; an old one keeps its own',
    ),
    parents: flagSchema.describe('make the folders above it that are missing'),
  })
  .superRefine(exactlyOnePath);
export const unpackTreeQuerySchema = z
  .strictObject({ ...fileSubject, parents: flagSchema.describe('make the folder, and those above it') })
  .superRefine(exactlyOnePath);
export const removeFileQuerySchema = z
  .strictObject({ ...fileSubject, recursive: flagSchema.describe('also a folder with all that is in it') })
  .superRefine(exactlyOnePath);
export const statFileQuerySchema = z
  .strictObject({ ...fileSubject, follow: flagSchema.describe('of what a link leads to, not of the link') })
  .superRefine(exactlyOnePath);
export const listFolderQuerySchema = z
  .strictObject({
    ...fileSubject,
    depth: numberTextSchema
      .pipe(z.int().min(1).max(1000))
      .default(1)
      .describe('levels of folders, at most 1000'),
  })
  .superRefine(exactlyOnePath);
export const makeFolderRequestSchema = z
  .strictObject({
    ...fileSubject,
    mode: modeSchema.describe('octal, 0755 by default'),
    parents: z.boolean().default(false).describe('make those above it too; one that is there is as good'),
  })
  .superRefine(exactlyOnePath);
export const moveFileRequestSchema = z
  .strictObject({
    ...fileSubject,
    ...destination,
    replace: z.boolean().default(false).describe('take the place of what is there'),
    parents: z.boolean().default(false).describe('make the folders above `to` that are missing'),
  })
  .superRefine(exactlyOnePath)
  .superRefine(exactlyOne('to'));

export const fileEntrySchema = z.object({
  path: z.string().optional().describe('as it was asked for; in a list, below the folder'),
  path_base64: z.string().optional().describe('instead of `path` for what is no text'),
  type: z.enum(['file', 'folder', 'link', 'fifo', 'socket', 'device', 'other']),
  size_bytes: bytesSchema,
  mode: z.string().describe('four octal digits'),
  uid: z.int(),
  gid: z.int(),
  modified_at_unix: unixSecondsSchema,
  etag: z.string().describe('another one when the contents are others'),
  target: z.string().optional().describe('where a link leads'),
  target_base64: z.string().optional(),
  unreadable: z.boolean().optional().describe('true for a folder in a list that could not be looked into'),
});
/** What lies at a path of a guest. */
export type FileEntry = z.infer<typeof fileEntrySchema>;

/** A line of a list. The last one is `end`, or `error`. */
export const listLineSchema = z.union([
  z.object({ type: z.literal('entry'), entry: fileEntrySchema }),
  z.object({ type: z.literal('keepalive') }),
  z.object({ type: z.literal('error'), error: z.string(), code: z.string() }),
  z.object({ type: z.literal('end'), entries: z.int() }),
]);
export type ListLine = z.infer<typeof listLineSchema>;

/** What any call about a path can fail with. */
export const fileErrorCodes = [
  'invalid_request',
  'file_not_found',
  'file_denied',
  'not_a_folder',
  'file_failed',
  ...guestErrors,
] as const satisfies readonly ErrorCode[];

const BYTES_TYPE = 'application/octet-stream';

/** Routes of files. */
export const fileRoutes = {
  readFile: {
    ...endpoints.readFile,
    kind: 'stream',
    scope: 'exec',
    summary:
      "A file's bytes, of any length. `Range` (one range), `If-Range` and `If-None-Match` are understood, `ETag` is sent. What became shorter while it was sent ends the connection. A file of which the size does not say how many bytes it holds, as in /proc, is sent as a whole and without `Content-Length`.",
    resource: 'files',
    params: byId,
    query: filePathQuerySchema,
    replies: { 200: BYTES_TYPE, 206: BYTES_TYPE, 304: null },
    errors: ['not_a_file', 'range_not_satisfiable', ...fileErrorCodes],
  },
  headFile: {
    ...endpoints.headFile,
    kind: 'stream',
    scope: 'exec',
    summary: 'The headers that the file would be sent with.',
    resource: 'files',
    params: byId,
    query: filePathQuerySchema,
    replies: { 200: BYTES_TYPE, 206: BYTES_TYPE, 304: null },
    errors: ['not_a_file', 'range_not_satisfiable', ...fileErrorCodes],
  },
  writeFile: {
    ...endpoints.writeFile,
    kind: 'stream',
    scope: 'exec',
    summary:
      'Write a file, of any length. Who reads it meanwhile finds the old one, and after it the new one, whole; links are followed. `ETag` is sent. With `If-None-Match: *` nothing that is there is replaced.',
    resource: 'files',
    params: byId,
    query: writeFileQuerySchema,
    replies: { 204: null },
    errors: ['file_exists', 'not_a_file', 'guest_disk_full', 'request_timeout', ...fileErrorCodes],
  },
  removeFile: {
    ...endpoints.removeFile,
    kind: 'json',
    scope: 'exec',
    summary:
      'Remove a file, an empty folder, or a link, never what a link leads to. With `recursive` a folder and all in it, but nothing of a file system that is mounted there.',
    resource: 'files',
    params: byId,
    query: removeFileQuerySchema,
    replies: { 204: null },
    errors: ['file_exists', 'not_a_file', ...fileErrorCodes],
  },
  statFile: {
    ...endpoints.statFile,
    kind: 'json',
    scope: 'exec',
    summary: 'What is at a path.',
    resource: 'files',
    params: byId,
    query: statFileQuerySchema,
    replies: { 200: fileEntrySchema },
    errors: fileErrorCodes,
  },
  listFolder: {
    ...endpoints.listFolder,
    kind: 'stream',
    scope: 'exec',
    summary:
      'What is in a folder, as lines of JSON, however many there are: `{"type": "entry", "entry": FileEntry}`, last of all `end` with their number, or `error`. In no order, but a folder comes before what is in it. Links are not followed.',
    resource: 'files',
    params: byId,
    query: listFolderQuerySchema,
    replies: { 200: NDJSON_TYPE },
    errors: fileErrorCodes,
  },
  makeFolder: {
    ...endpoints.makeFolder,
    kind: 'json',
    scope: 'exec',
    summary: 'Make a folder.',
    resource: 'files',
    params: byId,
    body: makeFolderRequestSchema,
    replies: { 200: fileEntrySchema },
    errors: ['file_exists', 'not_a_file', 'guest_disk_full', ...fileErrorCodes],
  },
  moveFile: {
    ...endpoints.moveFile,
    kind: 'json',
    scope: 'exec',
    summary: 'Give a file or a folder another name, on the same file system.',
    resource: 'files',
    params: byId,
    body: moveFileRequestSchema,
    replies: { 200: fileEntrySchema },
    errors: ['file_exists', 'not_a_file', 'guest_disk_full', ...fileErrorCodes],
  },
  packTree: {
    ...endpoints.packTree,
    kind: 'stream',
    scope: 'exec',
    summary:
      'What is in a folder, as a tar archive of any length: files, folders, links and FIFOs, with owners, modes and times. Hard links become files, sockets and devices are left out. An answer that is cut off has no end of archive.',
    resource: 'files',
    params: byId,
    query: filePathQuerySchema,
    replies: { 200: 'application/x-tar' },
    errors: fileErrorCodes,
  },
  unpackTree: {
    ...endpoints.unpackTree,
    kind: 'stream',
    scope: 'exec',
    summary:
      'Unpack a tar archive into a folder, as it comes. What is there gives way, folders stay. Nothing is put outside of that folder, whatever names and links the archive has. Owners are those of the archive, for root. What fails in the middle leaves what was unpacked before. The header `bough-entries` of the answer says how many there were.',
    resource: 'files',
    params: byId,
    query: unpackTreeQuerySchema,
    replies: { 204: null },
    errors: [
      'bad_archive',
      'file_exists',
      'not_a_file',
      'guest_disk_full',
      'request_timeout',
      ...fileErrorCodes,
    ],
  },
} as const satisfies RouteTable;
