/**
 * Files of the guest: looked at, read, written, moved, removed, as a user of the image. Paths are bytes, since names in a guest need not be
 * text; relative ones begin where its programs begin.
 *
 * Every operation throws AgentRefused `no_file`, `not_a_folder`, `denied`, `no_user` or `file_failed` where that is what the guest found.
 */
import { z } from 'zod';
import { readAnswer } from '../answers.js';
import {
  ask,
  DEFAULT_TIMEOUT_MS,
  framesOf,
  type CallOptions,
  type Endpoint,
  type Operation,
} from '../call.js';
import { AgentDeadline, AgentProtocolError } from '../errors.js';
import { FrameKind, parseObject, type Frame } from '../frames.js';
import { fileFrames, type Input } from '../input.js';
import { fromWire } from '../wire.js';

/** Something at a path, and who asks: the image's user when `user` is absent, which is root unless the image says another. */
export interface FileSubject {
  readonly path: Uint8Array;
  /** A name or number of the image, or `user:group`. */
  readonly user?: string | undefined;
}

/** Which bytes of a file: from an offset on, or so many at its end. All by default. */
export interface FileRange {
  readonly from?: number | undefined;
  readonly length?: number | undefined;
  readonly last?: number | undefined;
}

export interface FileChange extends FileSubject {
  /** Permission bits. */
  readonly mode?: number | undefined;
  /** Makes the folders above it that are missing. */
  readonly parents?: boolean | undefined;
}

export interface FileWrite extends FileChange {
  readonly bytes: Input;
  /** Refuses with `file_exists` when there is something already. */
  readonly exclusive?: boolean | undefined;
}

export interface FileMove extends FileSubject {
  readonly to: Uint8Array;
  /** Takes the place of what is there; `file_exists` otherwise. */
  readonly replace?: boolean | undefined;
  readonly parents?: boolean | undefined;
}

const bytes = z.base64().transform((text) => Buffer.from(text, 'base64'));

const entryAnswer = z.object({
  path: bytes,
  type: z.enum(['file', 'folder', 'link', 'fifo', 'socket', 'device', 'other']),
  size: z.int().nonnegative(),
  mode: z.int().min(0).max(0o7777),
  uid: z.int().nonnegative(),
  gid: z.int().nonnegative(),
  modifiedAtUnix: z.int(),
  etag: z.string().regex(/^[0-9a-f-]{1,128}$/),
  target: bytes.optional(),
  unreadable: z.boolean().optional(),
});

/** What lies at a path; in a list the path is below the folder. `etag` is another one when the contents are others. */
export type FileEntry = z.infer<typeof entryAnswer>;

export const fileAnswer = z.object({ file: entryAnswer });
const readEvent = fileAnswer.extend({ from: z.int().nonnegative(), sized: z.boolean() });
export const listEvent = z.object({ entries: z.array(entryAnswer) });
const listAnswer = z.object({ entries: z.int().nonnegative() });
const nothing = z.object({});

/** A file that is open: what it is, where the bytes begin, and the bytes. It must be iterated to its end, or closed. */
export interface FileReading {
  readonly file: FileEntry;
  readonly from: number;
  /** Whether its size says how many bytes there are; one without is read as a whole, whatever was asked for. */
  readonly isSized: boolean;
  readonly bytes: AsyncGenerator<Buffer, void, undefined>;
  readonly close: () => Promise<void>;
}

/** As the guest wants them. */
export function fieldsOf({ path, ...rest }: FileSubject): Operation['fields'] {
  return { path: Buffer.from(path).toString('base64'), ...rest };
}

/** What an operation answers, of which the guest must say the first soon, however long all of it takes. */
export async function* framesSoon(
  endpoint: Endpoint,
  operation: Operation,
  signal: AbortSignal | undefined,
): AsyncGenerator<Frame, void, undefined> {
  const silence = new AbortController();
  const late = (): void => silence.abort(new AgentDeadline(operation.op, DEFAULT_TIMEOUT_MS));
  const timer = setTimeout(late, DEFAULT_TIMEOUT_MS);
  try {
    const either = signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]);
    for await (const frame of framesOf(endpoint, operation, { signal: either })) {
      clearTimeout(timer);
      yield frame;
    }
  } finally {
    clearTimeout(timer);
  }
}

export function answerOf<T>(schema: z.ZodType<T>, op: string, payload: Buffer): T {
  return readAnswer(schema, payload, { operation: op, timeoutMs: undefined });
}

export function eventOf<T>(schema: z.ZodType<T>, op: string, { kind, payload }: Frame): T {
  if (kind === FrameKind.end) readAnswer(nothing, payload, { operation: op, timeoutMs: undefined });
  const parsed = kind === FrameKind.event ? schema.safeParse(fromWire(parseObject(payload))) : undefined;
  if (parsed?.success === true) return parsed.data;
  throw new AgentProtocolError(`The guest answered ${op} with something else`);
}

/** Opens a file and reads it as fast as the bytes are iterated. Throws AgentRefused `not_a_file`. */
export async function readFile(
  endpoint: Endpoint,
  subject: FileSubject & FileRange,
  signal?: AbortSignal,
): Promise<FileReading> {
  const frames = framesSoon(endpoint, { op: 'read', fields: fieldsOf(subject) }, signal);
  const first = await frames.next();
  if (first.done === true) throw new AgentProtocolError('The guest did not answer read');
  try {
    const { file, from, sized } = eventOf(readEvent, 'read', first.value);
    // A generator that nobody has begun to iterate does nothing at its return.
    return {
      file,
      from,
      isSized: sized,
      bytes: bytesOf(frames, 'read'),
      close: () => frames.return().then(() => undefined),
    };
  } catch (error) {
    await frames.return();
    throw error;
  }
}

async function* bytesOf(
  frames: AsyncGenerator<Frame, void, undefined>,
  op: string,
  first?: Frame,
): FileReading['bytes'] {
  try {
    if (first?.kind === FrameKind.file) yield first.payload;
    for await (const { kind, payload } of frames) {
      if (kind === FrameKind.file) yield payload;
      else if (kind === FrameKind.end) answerOf(nothing, op, payload);
      else throw new AgentProtocolError('The guest sent something else among the bytes of a file');
    }
  } finally {
    await frames.return();
  }
}

/** Writes a file as the bytes come; it is there, whole, when this resolves. Throws AgentRefused `no_space`, `not_a_file`. */
export async function writeFile(
  endpoint: Endpoint,
  { bytes: input, ...subject }: FileWrite,
  signal?: AbortSignal,
): Promise<FileEntry> {
  const operation = { op: 'write', fields: fieldsOf(subject), frames: fileFrames(input) };
  return (await ask(endpoint, operation, fileAnswer, { signal })).file;
}

/** What is in a folder as a tar archive, made by the guest as it is iterated. To be iterated to its end, or closed by the signal. */
export async function packTree(
  endpoint: Endpoint,
  subject: FileSubject,
  signal?: AbortSignal,
): Promise<AsyncGenerator<Buffer, void, undefined>> {
  const frames = framesSoon(endpoint, { op: 'pack', fields: fieldsOf(subject) }, signal);
  const first = await frames.next();
  try {
    if (first.done === true) throw new AgentProtocolError('The guest did not answer pack');
    if (first.value.kind === FrameKind.end) answerOf(nothing, 'pack', first.value.payload);
    return bytesOf(frames, 'pack', first.value);
  } catch (error) {
    await frames.return();
    throw error;
  }
}

/** Unpacks a tar archive into a folder, as the bytes come. How many entries it had. Throws AgentRefused `bad_archive`, `no_space`. */
export async function unpackTree(
  endpoint: Endpoint,
  {
    bytes: input,
    ...subject
  }: FileSubject & { readonly bytes: Input; readonly parents?: boolean | undefined },
  signal?: AbortSignal,
): Promise<number> {
  const operation = { op: 'unpack', fields: fieldsOf(subject), frames: fileFrames(input) };
  return (await ask(endpoint, operation, listAnswer, { signal })).entries;
}

/** What is at a path: a link itself, or with `follow` what it leads to. */
export async function statFile(
  endpoint: Endpoint,
  subject: FileSubject & { readonly follow?: boolean | undefined },
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<FileEntry> {
  const operation = { op: 'stat', fields: fieldsOf(subject) };
  return (await ask(endpoint, operation, fileAnswer, { timeoutMs, signal })).file;
}

/** What is in a folder, `depth` levels of it, as the guest finds it. */
export async function* listFolder(
  endpoint: Endpoint,
  subject: FileSubject & { readonly depth?: number | undefined },
  signal?: AbortSignal,
): AsyncGenerator<FileEntry, void, undefined> {
  for await (const frame of framesSoon(endpoint, { op: 'list', fields: fieldsOf(subject) }, signal)) {
    if (frame.kind === FrameKind.end) answerOf(listAnswer, 'list', frame.payload);
    else yield* eventOf(listEvent, 'list', frame).entries;
  }
}

export async function makeFolder(
  endpoint: Endpoint,
  subject: FileChange,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<FileEntry> {
  const operation = { op: 'mkdir', fields: fieldsOf(subject) };
  return (await ask(endpoint, operation, fileAnswer, { timeoutMs, signal })).file;
}

export async function moveFile(
  endpoint: Endpoint,
  { to, ...subject }: FileMove,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
): Promise<FileEntry> {
  const fields = { ...fieldsOf(subject), to: Buffer.from(to).toString('base64') };
  return (await ask(endpoint, { op: 'move', fields }, fileAnswer, { timeoutMs, signal })).file;
}

/** A link itself, never what it leads to; a folder that is not empty with `recursive`. */
export async function removeFile(
  endpoint: Endpoint,
  subject: FileSubject & { readonly recursive?: boolean | undefined },
  signal?: AbortSignal,
): Promise<void> {
  await ask(endpoint, { op: 'remove', fields: fieldsOf(subject) }, nothing, { signal });
}
