/**
 * QMP's messages from QEMU: the greeting, events, returns and errors, one JSON object a line.
 * Parsing checks the envelope only; what is inside `return` and `data` is QEMU's word, typed in commands.ts.
 */
import { QmpProtocolError } from './errors.js';

/** An asynchronous event; `unixMs` is QEMU's own wall clock, to the microsecond. */
export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly unixMs: number;
}

export type QmpMessage =
  | { readonly kind: 'greeting'; readonly qemuVersion: string }
  | { readonly kind: 'event'; readonly event: QmpEvent }
  | { readonly kind: 'return'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly class: string; readonly desc: string };

/** Parses one line; throws QmpProtocolError with the start of what was found. */
export function parseMessage(line: string): QmpMessage {
  const found = line.slice(0, 80);
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch (cause) {
    throw new QmpProtocolError(`Not JSON: ${JSON.stringify(found)}`, { cause });
  }
  if (!isRecord(message)) throw new QmpProtocolError(`Not an object: ${JSON.stringify(found)}`);
  if (isRecord(message['QMP'])) return { kind: 'greeting', qemuVersion: parseVersion(message['QMP']) };
  if (typeof message['event'] === 'string') {
    return { kind: 'event', event: parseEvent(message['event'], message) };
  }
  const id = message['id'];
  const error = message['error'];
  if (typeof id === 'number' && isRecord(error)) {
    return { kind: 'error', id, class: textOf(error['class']), desc: textOf(error['desc']) };
  }
  if (typeof id === 'number' && 'return' in message) return { kind: 'return', id, value: message['return'] };
  throw new QmpProtocolError(`Not a QMP message: ${JSON.stringify(found)}`);
}

function parseEvent(event: string, message: Record<string, unknown>): QmpEvent {
  const stamp = isRecord(message['timestamp']) ? message['timestamp'] : {};
  return {
    event,
    data: isRecord(message['data']) ? message['data'] : {},
    unixMs: Number(stamp['seconds'] ?? 0) * 1000 + Number(stamp['microseconds'] ?? 0) / 1000,
  };
}

/** As `7.2.22`; parts that are missing are `?`. */
function parseVersion({ version }: Record<string, unknown>): string {
  const parts = isRecord(version) && isRecord(version['qemu']) ? version['qemu'] : {};
  const part = (name: string): string => (typeof parts[name] === 'number' ? String(parts[name]) : '?');
  return [part('major'), part('minor'), part('micro')].join('.');
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : 'unknown';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
