/** Calls into a sandbox's guest: exec, eval, ping. */

import { z } from 'zod';
import { guestUserSchema, plainTextSchema, timeoutSecsSchema } from '../fields.js';
import { endpoints } from './endpoints.js';
import { byId, guestErrors, type RouteTable } from './route.js';
import { STREAM_TYPES } from './stream-types.js';

export const execRequestSchema = z.object({
  args: z.array(plainTextSchema).min(1).max(4096).describe('program and arguments; no shell is involved'),
  timeout_secs: timeoutSecsSchema.default(30),
  env: z
    .record(plainTextSchema.regex(/^[^=]+$/, 'must be a variable name'), plainTextSchema)
    .optional()
    .describe('variables added to the environment'),
  cwd: plainTextSchema.max(4095).optional().describe('working directory in the guest'),
  user: guestUserSchema.optional(),
  stdin: z.string().optional().describe('text on standard input'),
});
/** Run a program in the guest and wait for it. */
export type ExecRequest = z.output<typeof execRequestSchema>;
export type ExecRequestInput = z.input<typeof execRequestSchema>;

export const execResultSchema = z.object({
  stdout: z.string().describe('as text; bytes that are not UTF-8 become U+FFFD'),
  stderr: z.string().describe('likewise'),
  exit_code: z.int().describe('128 + signal number when a signal ended it'),
  truncated: z.boolean().describe('whether output was left out'),
});
export type ExecResult = z.infer<typeof execResultSchema>;

export const evalRequestSchema = z.object({
  code: z.string().describe("code for the image's warm interpreter"),
  timeout_secs: timeoutSecsSchema.default(30),
});
/** Evaluate code in the guest's warm interpreter. */
export type EvalRequest = z.output<typeof evalRequestSchema>;
export type EvalRequestInput = z.input<typeof evalRequestSchema>;

export const evalResultSchema = z.object({
  result: z.string().nullable().describe('value of the last statement, if it is an expression'),
  error: z.string().nullable().describe('traceback of the code'),
  exit_code: z.int(),
  stdout: z.string().describe('what was printed meanwhile, as text; bytes that are not UTF-8 become U+FFFD'),
  stderr: z.string().describe('likewise'),
  truncated: z.boolean().describe('whether output was left out'),
});
export type EvalResult = z.infer<typeof evalResultSchema>;

export const pingResultSchema = z.looseObject({ pong: z.literal(true) });
/** The agent's answer; it may say more than `pong`. */
export type PingResult = z.infer<typeof pingResultSchema>;

/** Routes into guests. */
export const execRoutes = {
  exec: {
    ...endpoints.exec,
    kind: 'json',
    scope: 'exec',
    summary:
      'Run a program in the guest and wait for it. Of stdout and stderr the first 16 MiB each are kept; `truncated` says whether there was more. As a stream, all of it as it comes: the program is killed when the client leaves.',
    resource: 'sandboxes',
    params: byId,
    body: execRequestSchema,
    replies: { 200: execResultSchema },
    streams: STREAM_TYPES,
    errors: ['invalid_request', ...guestErrors],
  },
  evaluate: {
    ...endpoints.evaluate,
    kind: 'json',
    scope: 'exec',
    summary:
      "Evaluate code in the image's warm interpreter; its last expression is the result. Of what it prints the first mebibyte of each stream is kept; `truncated` says whether there was more.",
    resource: 'sandboxes',
    params: byId,
    body: evalRequestSchema,
    replies: { 200: evalResultSchema },
    errors: ['invalid_request', ...guestErrors],
  },
  ping: {
    ...endpoints.ping,
    kind: 'json',
    scope: 'exec',
    summary: 'Does the agent in the guest answer?',
    resource: 'sandboxes',
    params: byId,
    replies: { 200: pingResultSchema },
    errors: guestErrors,
  },
} as const satisfies RouteTable;
