/** Kept processes of a sandbox: they outlive the connection that started them, and their output is read from any offset. */

import { z } from 'zod';
import {
  bytesSchema,
  flagSchema,
  guestUserSchema,
  numberTextSchema,
  plainTextSchema,
  unixSecondsSchema,
} from '../fields.js';
import { endpoints } from './endpoints.js';
import { byId, byPid, guestErrors, type RouteTable } from './route.js';
import { STREAM_TYPES } from './stream-types.js';
import { outputLineSchemas } from './streams.js';

const cellsSchema = z.int().min(1).max(65_535);

export const terminalSizeSchema = z.strictObject({ cols: cellsSchema, rows: cellsSchema });
export type TerminalSize = z.infer<typeof terminalSizeSchema>;

export const startProcessRequestSchema = z
  .strictObject({
    args: z
      .array(plainTextSchema)
      .min(1)
      .max(4096)
      .optional()
      .describe('program and arguments; no shell is involved'),
    shell: plainTextSchema.optional().describe('instead of `args`: a line for `sh -c`'),
    env: z
      .record(plainTextSchema.regex(/^[^=]+$/, 'must be a variable name'), plainTextSchema)
      .optional()
      .describe('variables added to the environment'),
    cwd: plainTextSchema.max(4095).optional().describe('working directory in the guest'),
    user: guestUserSchema.optional(),
    pty: terminalSizeSchema.optional().describe('with a terminal of that size: {cols, rows}'),
    stdin: z.boolean().default(false).describe('whether it can be written to; it reads nothing otherwise'),
    timeout_secs: z
      .number()
      .positive()
      .max(315_360_000)
      .optional()
      .describe('after this all it started is killed'),
    tag: z.string().min(1).max(128).optional().describe('shown in lists'),
    on_disconnect: z
      .enum(['keep', 'kill'])
      .default('keep')
      .describe('`kill`, for a streamed start only: it ends with the stream'),
  })
  .superRefine(({ args, shell }, context) => {
    if ((args === undefined) === (shell === undefined))
      context.addIssue({ code: 'custom', path: ['args'], message: 'or "shell" must be given, and not both' });
  });
export type StartProcessRequest = z.output<typeof startProcessRequestSchema>;
export type StartProcessRequestInput = z.input<typeof startProcessRequestSchema>;

export const processSchema = z.object({
  pid: z.int().describe('process id in the guest'),
  args: z.array(z.string()).describe('cut after 2 KiB'),
  tag: z.string().optional(),
  pty: z.boolean().describe('whether it has a terminal'),
  started_at_unix: unixSecondsSchema,
  running: z.boolean(),
  exit_code: z.int().optional().describe('once it has ended; 128 + signal number when a signal ended it'),
  signal: z.string().optional().describe('what ended it, such as `SIGKILL`'),
  ended_at_unix: unixSecondsSchema.optional(),
  timed_out: z.boolean().optional().describe('whether it was killed at `timeout_secs`'),
  stdin_bytes: bytesSchema.describe('what its standard input has had'),
  stdout_from: bytesSchema.describe('offset of the first byte that is kept; all before it are gone'),
  stdout_to: bytesSchema.describe('offset after the last byte it has printed'),
  stderr_from: bytesSchema,
  stderr_to: bytesSchema,
});
/** A process of a guest, running or ended not long ago. */
export type Process = z.infer<typeof processSchema>;

/** A line of a stream of a process. */
export const processLineSchema = z.union([
  z.object({ type: z.literal('started'), process: processSchema }),
  ...outputLineSchemas,
  z.object({ type: z.literal('end'), process: processSchema }),
]);
export type ProcessLine = z.infer<typeof processLineSchema>;

const offsets = {
  stdout_from: numberTextSchema.default(0).describe('offset of the first byte that is wanted'),
  stderr_from: numberTextSchema.default(0).describe('likewise'),
};
export const outputQuerySchema = z.strictObject({
  ...offsets,
  follow: flagSchema.describe('wait for what it prints until it has ended'),
});
export const attachQuerySchema = z.strictObject(offsets);
export const stdinQuerySchema = z.strictObject({
  eof: flagSchema.describe('close its standard input after these bytes'),
});

export const signalRequestSchema = z.strictObject({
  signal: z
    .union([z.int().min(1).max(64), z.string().regex(/^(SIG)?[A-Z0-9+]{1,10}$/, 'must be a signal')])
    .default('SIGTERM')
    .describe('name or number; SIGKILL reaches all it started, others its process group'),
});

/** What a call about one process can fail with. */
const ofProcess = ['invalid_request', 'process_not_found', ...guestErrors] as const;

/** Routes of processes. */
export const processRoutes = {
  startProcess: {
    ...endpoints.startProcess,
    kind: 'json',
    scope: 'exec',
    summary:
      'Start a program that outlives this connection. Of what it prints the last mebibyte of each stream is kept. As a stream, `started` comes first and what it prints follows; a slow reader makes the program wait.',
    resource: 'processes',
    params: byId,
    body: startProcessRequestSchema,
    replies: { 201: processSchema },
    streams: STREAM_TYPES,
    errors: ['invalid_request', 'process_not_started', ...guestErrors],
  },
  listProcesses: {
    ...endpoints.listProcesses,
    kind: 'json',
    scope: 'exec',
    summary:
      'Processes that were started so: all that run, and those that ended not long ago, the latest first.',
    resource: 'processes',
    params: byId,
    replies: { 200: z.array(processSchema) },
    errors: guestErrors,
  },
  getProcess: {
    ...endpoints.getProcess,
    kind: 'json',
    scope: 'exec',
    summary: 'One process: whether it runs or how it ended, and which of its output is kept.',
    resource: 'processes',
    params: byPid,
    replies: { 200: processSchema },
    errors: ofProcess,
  },
  processOutput: {
    ...endpoints.processOutput,
    kind: 'stream',
    scope: 'exec',
    summary:
      'What it printed from the offsets on, and with `follow` what it prints until it has ended. `gap` tells how many bytes are gone, `end` how it ended.',
    resource: 'processes',
    params: byPid,
    query: outputQuerySchema,
    replies: { 200: STREAM_TYPES },
    errors: ofProcess,
  },
  processInput: {
    ...endpoints.processInput,
    kind: 'stream',
    scope: 'exec',
    summary:
      'Write to its standard input, as fast as it reads. The header `bough-stdin-bytes` of the answer says how much it has had by then.',
    resource: 'processes',
    params: byPid,
    query: stdinQuerySchema,
    replies: { 204: null },
    errors: ['stdin_closed', 'request_timeout', ...ofProcess],
  },
  signalProcess: {
    ...endpoints.signalProcess,
    kind: 'json',
    scope: 'exec',
    summary: 'Send it a signal.',
    resource: 'processes',
    params: byPid,
    body: signalRequestSchema,
    replies: { 204: null },
    errors: ['process_ended', ...ofProcess],
  },
  resizeProcess: {
    ...endpoints.resizeProcess,
    kind: 'json',
    scope: 'exec',
    summary: 'Tell its terminal a new size.',
    resource: 'processes',
    params: byPid,
    body: terminalSizeSchema,
    replies: { 204: null },
    errors: ['no_terminal', ...ofProcess],
  },
  attachProcess: {
    ...endpoints.attachProcess,
    kind: 'socket',
    scope: 'exec',
    summary:
      'Both ways at once, for terminals: binary messages with the frames of the agent\'s protocol. Down come STDOUT, STDERR, PTY, EVENT and END, up go STDIN (an empty one is its end) and CONTROL, `{"resize": {"cols", "rows"}}` or `{"signal": 15}`.',
    resource: 'processes',
    params: byPid,
    query: attachQuerySchema,
    errors: ofProcess,
  },
} as const satisfies RouteTable;
